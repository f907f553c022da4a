#include "synth/synthesize.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <optional>
#include <sstream>

#include "job.h"
#include "plan.h"
#include "synth/synthesis_plan.h"

namespace outsole::jobs {

namespace {

constexpr std::int64_t kMinSide = 32;
constexpr std::int64_t kMaxSide = 20000;  // the largest scanner frame is 13750 x 5500

/// What the three kinds share; `count` and `size` not given: as src/synth has them for each kind.
struct SynthesizeJob {
  std::string what;
  std::optional<std::int64_t> count;
  std::uint64_t seed = 1;
  std::optional<HeightWidth> size;
  std::filesystem::path output;
  synth::SynthesizeMarksOptions marks;
};

HeightWidth parse_image_size(const std::string& text) {
  const HeightWidth size = parse_size(text);
  if (std::min(size.height_px, size.width_px) < kMinSide || std::max(size.height_px, size.width_px) > kMaxSide) {
    throw UsageError(fmt::format("each side must be from {} to {} pixels", kMinSide, kMaxSide));
  }
  return size;
}

/// "dust,blood" or "all".
std::vector<synth::Capture> parse_captures(const std::string& text) {
  std::vector<synth::Capture> captures;
  if (text == "all") {
    for (int i = 0; i < synth::kCaptures; ++i) captures.push_back(static_cast<synth::Capture>(i));
    return captures;
  }
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) captures.push_back(synth::parse_capture(word));
  if (captures.empty()) throw UsageError("names no way of capture");
  return captures;
}

void declare_synthesize(SynthesizeJob& own, Options& options) {
  synth::MarkOptions& mark = own.marks.mark;
  options.add("what", "exemplars|marks|wear", own.what, "what to make")
      .one_of({"exemplars", "marks", "wear"})
      .required();
  options.add("count", "N", own.count, "number of images (50 exemplars, 20 marks) or of pairs of shoes (1)")
      .at_least(1)
      .at_most(99999);
  options.add("seed", "N", own.seed, "another seed, other images");
  options
      .add_parsed("size", "HxW", own.size, parse_image_size, "", "in pixels, of exemplars (586x240) or scans (640x256)")
      .only_with("what", {"exemplars", "wear"});
  options.add("exemplars", "FILE|DIR...", own.marks.exemplars, "images that marks are cut from")
      .only_with("what", {"marks"})
      .required();
  options.add("max-angle-deg", "A", mark.max_angle_deg, "marks are turned at random within +- this")
      .at_least(0)
      .at_most(180)
      .in("degrees")
      .only_with("what", {"marks"});
  options.add("damage", "D", mark.damage, "of marks: 0 (bare cuts) to 1")
      .at_least(0)
      .at_most(1)
      .only_with("what", {"marks"});
  options
      .add_parsed("capture", "KIND,...", mark.captures, parse_captures, "ink",
                  "how marks were left and captured, one drawn for each: ink, dust, blood, soil, gel-lift; or all")
      .only_with("what", {"marks"});
  options
      .add("max-scale-error", "SHARE", mark.max_scale_error,
           "share by which a mark's resolution is off at most: 0.02 for 2%")
      .at_least(0)
      .at_most(0.2)
      .only_with("what", {"marks"});
  options.add("output", "DIR", own.output, "folder of the images, manifest.csv, labels.csv").required();
}

/// Images of a size: exemplars or scans.
template <typename Synthesis>
Synthesis sized_synthesis(const SynthesizeJob& own) {
  Synthesis synthesis;
  synthesis.output = own.output;
  synthesis.seed = own.seed;
  synthesis.count = own.count.value_or(synthesis.count);
  if (own.size) {
    synthesis.height_px = own.size->height_px;
    synthesis.width_px = own.size->width_px;
  }
  return synthesis;
}

Report run_exemplars(const SynthesizeJob& own, const JobContext& context) {
  const auto synthesis = sized_synthesis<synth::SynthesizeExemplarsOptions>(own);
  if (context.common.plan) return plan_report(synth::synthesis_plan(context.comm, synthesis), context);
  synth::synthesize_exemplars(context.comm, synthesis);
  return [] { return std::string(); };
}

Report run_marks(const SynthesizeJob& own, const JobContext& context) {
  synth::SynthesizeMarksOptions synthesis = own.marks;
  synthesis.output = own.output;
  synthesis.seed = own.seed;
  synthesis.count = own.count.value_or(synthesis.count);
  if (context.common.plan) return plan_report(synth::synthesis_plan(context.comm, synthesis), context);
  synth::synthesize_marks(context.comm, synthesis);
  return [] { return std::string(); };
}

Report run_wear(const SynthesizeJob& own, const JobContext& context) {
  const auto synthesis = sized_synthesis<synth::SynthesizeWearOptions>(own);
  if (context.common.plan) return plan_report(synth::synthesis_plan(context.comm, synthesis), context);
  synth::synthesize_wear(context.comm, synthesis);
  return [] { return std::string(); };
}

Report run_synthesize(SynthesizeJob& own, const JobContext& context) {
  return (own.what == "exemplars" ? run_exemplars : own.what == "marks" ? run_marks : run_wear)(own, context);
}

}  // namespace

Job synthesize_job() {
  return make_job(
      {"synthesize", "make synthetic outsoles, marks, and a year of scans, with ground truth", "what",
       "Examples:\n"
       "  outsole synthesize exemplars --count 50 --seed 1 --output exemplars\n"
       "  outsole synthesize marks --exemplars exemplars --count 20 --seed 2 --output marks\n"
       "  outsole synthesize wear --count 2 --size 640x256 --seed 1 --output year\n"
       "  outsole ingest --kind scans --input year --manifest year/manifest.csv --output scans.h5\n"
       "labels.csv of the marks holds each one's true exemplar and pose; the images depend on the seed alone, not "
       "on the\n"
       "number of ranks.\n"},
      declare_synthesize, run_synthesize);
}

}  // namespace outsole::jobs
