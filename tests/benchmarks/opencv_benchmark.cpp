// The search kernel against OpenCV's matchTemplate, one channel at a time, summed: normalized, without and with a mask.
// (OpenCV normalizes each call by itself, so per-channel calls do give NCC per channel; the masked form only for masks
// whose windows are never flat.)

#include <benchmark/benchmark.h>

#include <opencv2/imgproc.hpp>

#include "match/lanes.h"
#include "search_problem.h"

namespace outsole::benchmarks {

namespace {

cv::Mat plane(const at::Tensor& map) {
  return cv::Mat(static_cast<int>(map.size(0)), static_cast<int>(map.size(1)), CV_32FC1, map.data_ptr<float>());
}

void against_opencv(benchmark::State& state) {
  const SearchProblem problem = make_search_problem(state.range(0), state.range(1));
  const bool masked = state.range(2) != 0;
  const match::ReadyMark mark = problem.ready();
  constexpr std::int64_t kExemplars = 2, kViewStep = 11, kChannelStep = 8;  // a sample, extrapolated
  for (auto _ : state) {
    std::vector<match::BestPose> found(match::kLanes);
    const double start_ours = now_s();
    mark.search(std::span(&problem.block, 1), found);
    const double ours_s = now_s() - start_ours;
    double theirs_s = 0, share = 0;
    for (std::size_t v = 0; v < problem.views.size(); v += kViewStep) {
      const match::MarkView& view = problem.views[v];
      const at::Tensor support = view.support.to(at::kFloat).contiguous();
      share += 1.0;
      for (std::int64_t n = 0; n < kExemplars; ++n) {
        for (std::int64_t c = 0; c < problem.channels; c += kChannelStep) {
          // Where the turned mark is larger than the map, matchTemplate needs the map padded.
          cv::Mat padded, scores;
          const cv::Mat templ = plane(view.features[c]);
          const double start = now_s();
          const int dy = std::max(
              0, templ.rows + static_cast<int>(view.offset.shifts_y) - 1 - static_cast<int>(problem.frame.height));
          const int dx = std::max(
              0, templ.cols + static_cast<int>(view.offset.shifts_x) - 1 - static_cast<int>(problem.frame.width));
          cv::copyMakeBorder(plane(problem.exemplars[n][c]), padded, dy, 0, dx, 0, cv::BORDER_CONSTANT, 0);
          if (masked) {
            cv::matchTemplate(padded, templ, scores, cv::TM_CCOEFF_NORMED, plane(support));
          } else {
            cv::matchTemplate(padded, templ, scores, cv::TM_CCOEFF_NORMED);
          }
          benchmark::DoNotOptimize(scores.data);
          theirs_s += now_s() - start;
        }
      }
    }
    const double extrapolation =
        static_cast<double>(problem.views.size()) / share * kChannelStep * (match::kLanes / kExemplars);
    state.counters["times_slower"] = theirs_s * extrapolation / ours_s;
  }
}
BENCHMARK(against_opencv)
    ->ArgNames({"height", "width", "mask"})
    ->Args({241, 121, 0})
    ->Args({241, 121, 1})
    ->Args({150, 100, 0})
    ->Args({150, 100, 1})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace

}  // namespace outsole::benchmarks
