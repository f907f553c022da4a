#include "synth/synthesis_plan.h"

#include <spdlog/fmt/fmt.h>

#include <cmath>

#include "core/checked.h"
#include "core/files.h"
#include "image/image.h"
#include "synth/capture.h"
#include "synth/exemplar.h"

namespace outsole::synth {

namespace {

machine::Plan plan_of(const comm::Communicator& comm, std::int64_t images, const std::string& what, double image_s,
                      double image_bytes) {
  machine::Plan plan;
  plan.lines = {{"images", fmt::format("{} {} on {} ranks", images, what, comm.size())}};
  plan.work.partitions = {{"images", images}};
  plan.work.compute_s = image_s * static_cast<double>(images);
  plan.work.written_bytes = image_bytes * static_cast<double>(images);
  plan.basis = fmt::format("{:.3g} s an image, as one just took", image_s);
  return plan;
}

/// A size of this shape that is drawn in a second or so, and how many times its pixels the wanted one has.
cv::Size small_size(std::int64_t height_px, std::int64_t width_px, double& times) {
  constexpr double kMostPixels = 640 * 256;
  const auto pixels = static_cast<double>(height_px) * static_cast<double>(width_px);
  const double shrink = std::min(1.0, std::sqrt(kMostPixels / pixels));
  const auto length = [&](std::int64_t length_px) {
    return std::max(64, static_cast<int>(std::lround(shrink * static_cast<double>(length_px))));
  };
  const cv::Size size(length(width_px), length(height_px));
  times = pixels / static_cast<double>(size.area());
  return size;
}

}  // namespace

machine::Plan synthesis_plan(const comm::Communicator& comm, const SynthesizeExemplarsOptions& options) {
  double times = 1;
  const cv::Size size = small_size(options.height_px, options.width_px, times);
  const double seconds = machine::measured_seconds(
      comm, 1, [&] { render_exemplar(make_outsole(options.seed, 0), size.height, size.width); });
  return plan_of(comm, options.count, fmt::format("exemplars of {} x {} pixels", options.height_px, options.width_px),
                 times * seconds, static_cast<double>(options.height_px * options.width_px));
}

machine::Plan synthesis_plan(const comm::Communicator& comm, const SynthesizeMarksOptions& options) {
  cv::Mat1b exemplar;
  comm.together([&] {
    const auto files = list_inputs(options.exemplars, image::image_extensions());
    exemplar = image::to_8_bit(image::read_image(files.at(0)).grey);
  });
  Random random(options.seed, 0);
  const double seconds = machine::measured_seconds(comm, 1, [&] { make_mark(exemplar, options.mark, random); });
  return plan_of(comm, options.count, "marks", seconds, static_cast<double>(exemplar.total()));
}

machine::Plan synthesis_plan(const comm::Communicator& comm, const SynthesizeWearOptions& options) {
  double times = 1;
  const cv::Size size = small_size(options.height_px, options.width_px, times);
  const WornShoe shoe = make_worn_shoe(options.seed, 0, Foot::kLeft);
  WornShoeScanner scanner(shoe, size);
  const double seconds = machine::measured_seconds(comm, 1, [&] { scanner.scan(0); });
  const std::int64_t scans = 2 * std::ssize(captured_weeks());
  constexpr double kImagesAScan = 5;  // with its ground truth
  return plan_of(
      comm, options.count * scans,
      fmt::format("scans of {} x {} pixels, {} of each pair of shoes", options.height_px, options.width_px, scans),
      times * seconds, kImagesAScan * static_cast<double>(options.height_px * options.width_px));
}

}  // namespace outsole::synth
