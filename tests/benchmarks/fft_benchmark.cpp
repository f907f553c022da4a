// The search kernel against correlation by FFT as scipy.signal.fftconvolve(y, x[::-1, ::-1]) does it: one channel of
// one pair at a time, every transform anew, and so the window sums of y and y^2 for every pair, too. On one thread.

#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>
#include <omp.h>

#include "match/lanes.h"
#include "search_problem.h"

namespace outsole::benchmarks {

namespace {

/// sum over cells of x[cell] * y[cell + shift], for every shift at which they overlap.
at::Tensor correlate(const at::Tensor& y, const at::Tensor& x) {
  const std::vector<std::int64_t> size = {next_fast_length(y.size(0) + x.size(0) - 1),
                                          next_fast_length(y.size(1) + x.size(1) - 1)};
  return at::fft_irfft2(at::fft_rfft2(y, size) * at::fft_rfft2(x, size).conj(), size);
}

/// NCC of one channel at every shift.
at::Tensor normalized(const at::Tensor& y, const at::Tensor& x, const at::Tensor& support, double count) {
  const at::Tensor sum = correlate(y, support), variance_sum = correlate(y.square(), support) - sum.square() / count;
  return correlate(y, x) * variance_sum.clamp_min(1e-12).rsqrt();
}

void against_fft_of_each_pair(benchmark::State& state) {
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  omp_set_num_threads(1);
  const SearchProblem problem = make_search_problem(state.range(0), state.range(1));
  const match::ReadyMark mark = problem.ready();
  constexpr std::int64_t kExemplars = 2, kViewStep = 11, kChannelStep = 16;  // a sample, extrapolated
  for (auto _ : state) {
    std::vector<match::BestPose> found(match::kLanes);
    const double start_ours = now_s();
    mark.search(std::span(&problem.block, 1), found);
    const double ours_s = now_s() - start_ours;
    double theirs_s = 0, views = 0;
    for (std::size_t v = 0; v < problem.views.size(); v += kViewStep, ++views) {
      const match::MarkView& view = problem.views[v];
      const at::Tensor support = view.support.to(at::kFloat);
      const double count = support.sum().item<double>();
      for (std::int64_t n = 0; n < kExemplars; ++n) {
        for (std::int64_t c = 0; c < problem.channels; c += kChannelStep) {
          const double start = now_s();
          benchmark::DoNotOptimize(normalized(problem.exemplars[n][c], view.features[c] * support, support, count));
          theirs_s += now_s() - start;
        }
      }
    }
    const double extrapolation =
        static_cast<double>(problem.views.size()) / views * kChannelStep * (match::kLanes / kExemplars);
    state.counters["times_slower"] = theirs_s * extrapolation / ours_s;
  }
  at::set_num_threads(threads);
  omp_set_num_threads(threads);
}
BENCHMARK(against_fft_of_each_pair)
    ->ArgNames({"height", "width"})
    ->Args({241, 121})
    ->Args({150, 100})
    ->Args({90, 40})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace

}  // namespace outsole::benchmarks
