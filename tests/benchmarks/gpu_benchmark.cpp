// The kernel for GPUs: against the card's own matrix product, tensor operations on the same card, and what a user would
// write there, in one run; and its scores against those of the kernel for CPUs.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "match/lanes.h"
#include "rivals.h"
#include "search_problem.h"

namespace outsole::benchmarks {

namespace {

constexpr std::int64_t kExemplarsOfFid300 = 1175;  // FID-300's

std::vector<match::BestPose> search(const match::ReadyMark& mark, const std::vector<at::Tensor>& blocks) {
  std::vector<match::BestPose> found(blocks.size() * match::kLanes);
  mark.search(blocks, found);
  return found;
}

double best_seconds(int repeats, const auto& work) {
  double best_s = 1e30;
  for (int repeat = 0; repeat < repeats; ++repeat) {
    const double start = now_s();
    work();
    best_s = std::min(best_s, now_s() - start);
  }
  return best_s;
}

const match::Compute kGpu = {at::Device(at::kCUDA, 0), match::ComputePrecision::k16};

/// The kernel for GPUs; null: it cannot run here, which is said.
const match::SearchKernel* kernel_or_skip(benchmark::State& state) {
  const match::SearchKernel* const kernel = match::find_kernel("gpu");
  if (kernel != nullptr && kernel->runs_here()) return kernel;
  state.SkipWithError("no GPU here, or a build without its kernel");
  return nullptr;
}

void on_gpu(benchmark::State& state) {
  const match::SearchKernel* const kernel = kernel_or_skip(state);
  if (kernel == nullptr) return;
  const SearchProblem problem = make_search_problem(state.range(0), state.range(1));
  std::vector<at::Tensor> blocks;
  while (std::ssize(blocks) * match::kLanes < kExemplarsOfFid300) blocks.push_back(problem.block.clone());
  for (auto _ : state) {
    double start = now_s();
    const match::ReadyMark mark = problem.ready(*kernel, kGpu);
    const double layout_s = now_s() - start;
    start = now_s();
    const auto found = search(mark, blocks);
    const double first_s = now_s() - start;
    const double search_s = best_seconds(5, [&] { search(mark, blocks); });
    const double exemplars = static_cast<double>(blocks.size()) * match::kLanes;
    const double useful_flops = mark.useful_flops_per_exemplar * exemplars / search_s;

    const auto exact = search(problem.ready(), {problem.block});
    double furthest = 0, same_pose = 0;
    for (std::size_t n = 0; n < exact.size(); ++n) {
      furthest = std::max(furthest, std::abs(double{exact[n].score} - found[n].score));
      same_pose += exact[n].pose == found[n].pose;
    }
    const auto is_less = [](const match::BestPose& a, const match::BestPose& b) { return a.score < b.score; };
    const auto first = std::max_element(exact.begin(), exact.end(), is_less) - exact.begin();
    const auto first_found = std::max_element(found.begin(), found.begin() + match::kLanes, is_less) - found.begin();

    state.counters["useful_TFLOPs"] = useful_flops / 1e12;
    state.counters["s_for_1175"] = search_s / exemplars * kExemplarsOfFid300;
    state.counters["s_for_300_marks"] = 927e12 / useful_flops;  // FID-300's 300 marks against its 1175 exemplars
    state.counters["Gvalues_per_s"] = static_cast<double>(problem.grid.size() * problem.channels) * exemplars /
                                      search_s / 1e9;  // a pose, a channel, an exemplar
    state.counters["layout_s"] = layout_s;
    state.counters["first_s"] = first_s;
    state.counters["furthest_score"] = furthest;
    state.counters["same_pose"] = same_pose / static_cast<double>(exact.size());
    state.counters["same_first"] = first == first_found;
    if (!at::hasCUDA()) continue;
    state.counters["of_product_rate"] = useful_flops / 1e12 / product_tflops(kGpu.device, match::ComputePrecision::k16);
    const double ours_s = search_s / exemplars * match::kLanes;  // of a block
    const match::ReadyMark tensors = problem.ready(*match::find_kernel("tensors"), kGpu);
    const std::vector<at::Tensor> there(4, problem.block.to(kGpu.device));
    search(tensors, there);
    state.counters["tensors_slower"] = best_seconds(1, [&] { search(tensors, there); }) / 4 / ours_s;
    state.counters["fft_slower"] = batched_fft_s(problem, kGpu.device) / ours_s;
    state.counters["conv2d_slower"] = grouped_convolution_s(problem, kGpu.device) / ours_s;
  }
}
BENCHMARK(on_gpu)
    ->Args({241, 121})
    ->Args({285, 130})
    ->Args({150, 100})
    ->Args({90, 40})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

/// What a mark costs the CPU before a GPU can search it.
void layout_for_gpu(benchmark::State& state) {
  const match::SearchKernel* const kernel = kernel_or_skip(state);
  if (kernel == nullptr) return;
  const SearchProblem problem = make_search_problem(state.range(0), state.range(1));
  for (auto _ : state) {
    benchmark::DoNotOptimize(problem.ready(*kernel, kGpu));
    const double start = now_s();
    benchmark::DoNotOptimize(problem.ready());
    state.counters["of_it_as_for_cpus_s"] = now_s() - start;
  }
}
BENCHMARK(layout_for_gpu)->Args({241, 121})->Args({90, 40})->Unit(benchmark::kSecond);

}  // namespace

}  // namespace outsole::benchmarks
