// The search kernel against the machine's own matrix product, and against what people run instead, in one run.
// Sizes are marks at the search scale: 241 x 121 is FID-300's mark 43.

#include <ATen/Parallel.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>
#include <string_view>
#include <utility>

#include "match/exemplar_block.h"
#include "rivals.h"
#include "search_problem.h"

namespace outsole::benchmarks {

namespace {

/// Seconds for all poses of one block; the search is repeated and the best kept, as the matrix product's is.
double search_seconds(const match::ReadyMark& mark, const SearchProblem& problem) {
  double best = 1e30;
  for (int repeat = 0; repeat < 3; ++repeat) {
    std::vector<match::BestPose> found(match::kLanes);
    const double start = now_s();
    mark.search(std::span(&problem.block, 1), found);
    best = std::min(best, now_s() - start);
  }
  return best;
}

/// Search and matrix product take turns, so that what else the machine does slows both alike; the median is reported.
void of_matrix_product(benchmark::State& state) {
  constexpr std::size_t kRepeats = 5, kBlocks = 2;
  const SearchProblem problem = make_search_problem(state.range(0), state.range(1));
  const std::vector<at::Tensor> blocks = {problem.block, problem.block.clone()};
  for (auto _ : state) {
    const double start = now_s();
    const match::ReadyMark mark = problem.ready();
    const double prepare_s = now_s() - start;
    const double useful_gflop = mark.useful_flops_per_exemplar * match::kLanes * kBlocks / 1e9;
    std::vector<double> ratios, seconds;
    double product_gflops = sgemm_gflops(1);
    for (std::size_t repeat = 0; repeat < kRepeats; ++repeat) {
      std::vector<match::BestPose> found(match::kLanes * kBlocks);
      const double search_start = now_s();
      mark.search(blocks, found);
      seconds.push_back(now_s() - search_start);
      const double before_gflops = std::exchange(product_gflops, sgemm_gflops(1));
      ratios.push_back(useful_gflop / seconds.back() / ((before_gflops + product_gflops) / 2));
    }
    std::ranges::sort(ratios);
    std::ranges::sort(seconds);
    const double search_s = seconds[kRepeats / 2] * 1175 / (match::kLanes * kBlocks);
    state.counters["poses"] = static_cast<double>(problem.grid.size());
    state.counters["useful_GFLOPs"] = useful_gflop / seconds[kRepeats / 2];
    state.counters["of_sgemm"] = ratios[kRepeats / 2];
    state.counters["s_for_1175"] = search_s;
    state.counters["layout_share"] = prepare_s / search_s;
  }
}
BENCHMARK(of_matrix_product)
    ->Args({241, 121})
    ->Args({289, 113})
    ->Args({285, 130})
    ->Args({150, 100})
    ->Args({90, 40})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

/// Every similarity against the default one, in processor time, which others on the machine lengthen least; both take
/// turns. (That blocks are centred once for mu_bar_c is a matter of reading them.)
void of_mcncc(benchmark::State& state) {
  const SearchProblem problem = make_search_problem(150, 100);
  const match::SearchKernel& kernel = match::fastest_cpu_kernel();
  const match::ReadyMark mcncc = problem.ready();
  const auto processor_s = [&](const match::ReadyMark& mark) {
    std::vector<match::BestPose> found(match::kLanes);
    const std::clock_t start = std::clock();
    mark.search(std::span(&problem.block, 1), found);
    return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
  };
  for (auto _ : state) {
    for (const match::Similarity& similarity : match::known_similarities()) {
      const match::ReadyMark mark = problem.ready(kernel, {}, similarity);
      double ours_s = 1e30, mcncc_s = 1e30;
      for (int repeat = 0; repeat < 3; ++repeat) {
        ours_s = std::min(ours_s, processor_s(mark));
        mcncc_s = std::min(mcncc_s, processor_s(mcncc));
      }
      state.counters[match::name_of(similarity)] = ours_s / mcncc_s;
    }
  }
}
BENCHMARK(of_mcncc)->Iterations(1)->Unit(benchmark::kSecond);

/// The authors' algorithm in tensor operations: for one pose, cut the window out of the mark and of every exemplar,
/// mask it, and correlate: means, centred products, variances, over the support, as whole tensors.
at::Tensor correlate_one_pose(const at::Tensor& mark, const at::Tensor& support, const at::Tensor& exemplars) {
  const at::Tensor mask = support.to(at::kFloat), count = mask.sum();
  const at::Tensor x = mark * mask, y = exemplars * mask;
  const at::Tensor x_centred = (x - (x.sum({1, 2}, true) / count)) * mask;
  const at::Tensor y_centred = (y - (y.sum({2, 3}, true) / count)) * mask;
  const at::Tensor products = (x_centred * y_centred).sum({2, 3});
  const at::Tensor norms = (x_centred.square().sum({1, 2}) * y_centred.square().sum({2, 3})).sqrt();
  return (products / norms.clamp_min(1e-12)).mean(1);
}

/// What a pose compares: of the mark, its support and the exemplars, the box around the support on the frame.
struct Window {
  at::Tensor mark, support, exemplars;  // views of them
};

Window window_at(const match::MarkView& view, const SearchProblem& problem, std::int64_t i, std::int64_t j) {
  const match::FrameCells& frame = problem.frame;
  const std::int64_t top = view.origin_y - frame.border - i, left = view.origin_x - frame.border - j;
  const std::int64_t y0 = std::max<std::int64_t>(0, top), y1 = std::min(frame.height, top + view.support.size(0));
  const std::int64_t x0 = std::max<std::int64_t>(0, left), x1 = std::min(frame.width, left + view.support.size(1));
  return {view.features.slice(1, y0 - top, y1 - top).slice(2, x0 - left, x1 - left),
          view.support.slice(0, y0 - top, y1 - top).slice(1, x0 - left, x1 - left),
          problem.exemplars.slice(2, y0, y1).slice(3, x0, x1)};
}

void against_one_pose_at_a_time(benchmark::State& state) {
  const SearchProblem problem = make_search_problem(state.range(0), state.range(1));
  const match::ReadyMark mark = problem.ready();
  std::mt19937 random(1);
  for (auto _ : state) {
    const double ours_s = search_seconds(mark, problem);
    const std::int64_t sample = std::max<std::int64_t>(1, problem.grid.size() / 100 + 1);  // at least 1% of the poses
    double theirs_s = 0;
    for (std::int64_t pose = 0; pose < sample; ++pose) {
      const auto& view = problem.views[random() % problem.views.size()];
      const Window window = window_at(view, problem, random() % view.offset.shifts_y, random() % view.offset.shifts_x);
      const double start = now_s();
      benchmark::DoNotOptimize(correlate_one_pose(window.mark, window.support, window.exemplars));
      theirs_s += now_s() - start;
    }
    state.counters["times_slower"] =
        theirs_s / static_cast<double>(sample) * static_cast<double>(problem.grid.size()) / ours_s;
    state.counters["poses_run"] = static_cast<double>(sample);
  }
}
BENCHMARK(against_one_pose_at_a_time)->Args({241, 121})->Args({150, 100})->Iterations(1)->Unit(benchmark::kSecond);

void against_batched_fft(benchmark::State& state) {
  const SearchProblem problem = make_search_problem(state.range(0), state.range(1));
  const match::ReadyMark mark = problem.ready();
  for (auto _ : state) {
    const double ours_s = search_seconds(mark, problem);
    state.counters["times_slower"] = batched_fft_s(problem, at::kCPU) / ours_s;
  }
}
BENCHMARK(against_batched_fft)
    ->Args({241, 121})
    ->Args({150, 100})
    ->Args({90, 40})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

void against_grouped_convolution(benchmark::State& state) {
  const SearchProblem problem = make_search_problem(state.range(0), state.range(1));
  const match::ReadyMark mark = problem.ready();
  for (auto _ : state) {
    const double ours_s = search_seconds(mark, problem);
    state.counters["times_slower"] = grouped_convolution_s(problem, at::kCPU) / ours_s;
  }
}
BENCHMARK(against_grouped_convolution)
    ->Args({241, 121})
    ->Args({150, 100})
    ->Args({90, 40})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace

}  // namespace outsole::benchmarks

/// Google Benchmark's options, and --index FILE.safetensors: features of a real index.
int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (argc == 3 && std::string_view(argv[1]) == "--index") {
    outsole::benchmarks::index_file() = argv[2];
  } else if (argc != 1) {
    std::fprintf(stderr, "usage: %s [--benchmark_...] [--index FILE.safetensors]\n", argv[0]);
    return 2;
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
}
