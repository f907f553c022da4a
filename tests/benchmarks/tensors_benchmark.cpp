// The search in tensor operations against the kernel for CPUs, and on a GPU, where LibTorch sees one, by itself.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

#include "match/lanes.h"
#include "rivals.h"
#include "search_problem.h"

namespace outsole::benchmarks {

namespace {

double search_seconds(const match::ReadyMark& mark, const std::vector<at::Tensor>& blocks) {
  double best_s = 1e30;
  for (int repeat = 0; repeat < 2; ++repeat) {
    std::vector<match::BestPose> found(blocks.size() * match::kLanes);
    const double start = now_s();
    mark.search(blocks, found);  // ends with the results on the CPU
    best_s = std::min(best_s, now_s() - start);
  }
  return best_s;
}

void in_tensor_operations(benchmark::State& state) {
  const SearchProblem problem = make_search_problem(state.range(0), state.range(1));
  const auto precision = static_cast<match::ComputePrecision>(state.range(2));
  const at::Device device(at::hasCUDA() ? at::kCUDA : at::kCPU);
  const match::ReadyMark mark = problem.ready();
  const match::ReadyMark tensors = problem.ready(*match::find_kernel("tensors"), {device, precision});
  const std::vector<at::Tensor> blocks(static_cast<std::size_t>(match::blocks_per_product(device)),
                                       problem.block.to(device));
  for (auto _ : state) {
    const double kernel_s = search_seconds(mark, {problem.block}), tensors_s = search_seconds(tensors, blocks);
    const double exemplars = static_cast<double>(blocks.size()) * match::kLanes;
    const double useful_flops = tensors.useful_flops_per_exemplar * exemplars / tensors_s;
    state.counters["useful_GFLOPs"] = useful_flops / 1e9;
    state.counters["of_product_rate"] = useful_flops / 1e12 / product_tflops(device, precision);
    // The multiply-adds of FID-300's 300 marks against its 1175 exemplars.
    state.counters["s_for_300_marks"] = 927e12 / useful_flops;
    state.counters["s_for_1175"] = tensors_s / exemplars * 1175;
    state.counters["times_slower_than_kernel"] = tensors_s / exemplars / (kernel_s / match::kLanes);
  }
  state.SetLabel(device.str());
}
BENCHMARK(in_tensor_operations)
    ->ArgNames({"height", "width", "precision"})  // 0: 32, 1: TF32, 2: 16 bit
    ->ArgsProduct({{241}, {121}, {0, 1, 2}})
    ->ArgsProduct({{150}, {100}, {0, 1, 2}})
    ->ArgsProduct({{90}, {40}, {0, 1, 2}})
    ->Iterations(1)
    ->Unit(benchmark::kSecond);

}  // namespace

}  // namespace outsole::benchmarks
