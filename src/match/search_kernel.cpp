#include "match/search_kernel.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "core/errors.h"
#include "match/gpu_kernel.h"
#include "match/instruction_sets.h"
#include "match/lanes.h"

namespace outsole::match {

namespace {

template <typename Mark, typename Search>
ReadyMark ready(std::shared_ptr<const Mark> mark, Search search) {
  const double flops = mark->useful_flops_per_exemplar();
  return {flops, [mark = std::move(mark), search](std::span<const at::Tensor> blocks, std::span<BestPose> best) {
            search(*mark, blocks, best);
          }};
}

SearchKernel cpu_kernel(const ChannelKernel& kernel, const char* description, const char* needs, bool (*runs_here)()) {
  return {.name = kernel.name,
          .description = description,
          .needs = needs,
          .runs_here = runs_here,
          .make_ready =
              [&kernel](std::vector<MarkView> views, const SearchTerms& terms, const Compute& compute) {
                ensure(compute.device.is_cpu() && compute.precision == ComputePrecision::k32,
                       "a kernel for CPUs computes there, in 32 bit");
                auto [channels, similarity] = window_terms(terms.similarity, terms.channels);
                return ready(std::make_shared<const PreparedMark>(std::move(views), terms.frame, terms.erosion_radius,
                                                                  std::move(channels), similarity),
                             [&kernel](const PreparedMark& mark, std::span<const at::Tensor> blocks,
                                       std::span<BestPose> best) { search_blocks(mark, kernel, blocks, best); });
              },
          .working_bytes =
              [&kernel](const FrameCells& frame, std::int64_t, std::int64_t stride_px, int threads,
                        const Similarity& similarity, const Compute&) {
                return threads * search_working_bytes(kernel, frame, stride_px, similarity);
              }};
}

SearchKernel tensor_kernel() {
  return {.name = "tensors",
          .description = "tensor operations of LibTorch",
          .needs = "nothing; made for GPUs",
          .place = KernelPlace::kAnyDevice,
          .runs_here = [] { return true; },
          .make_ready =
              [](std::vector<MarkView> views, const SearchTerms& terms, const Compute& compute) {
                const auto [channels, similarity] = window_terms(terms.similarity, terms.channels);
                return ready(
                    std::make_shared<const TensorMark>(std::move(views), terms.frame, terms.erosion_radius, channels,
                                                       compute.device, compute.precision, similarity),
                    [](const TensorMark& mark, std::span<const at::Tensor> blocks, std::span<BestPose> best) {
                      search_blocks(mark, blocks, best);
                    });
              },
          .working_bytes =
              [](const FrameCells& frame, std::int64_t channels, std::int64_t, int, const Similarity&,
                 const Compute& compute) {
                return product_working_bytes(channels * frame.height * frame.width * kLanes, compute.device,
                                             compute.precision);
              }};
}

std::vector<SearchKernel> all_kernels() {
  std::vector<SearchKernel> kernels;
  for (const InstructionSet& set : special_instruction_sets()) {
    kernels.push_back(cpu_kernel(set.kernel, set.description, set.needs, set.runs_here));
  }
  kernels.push_back(
      cpu_kernel(kGenericKernel, "4 exemplars in a vector, tiles of 8 sums", "nothing", [] { return true; }));
  kernels.push_back(tensor_kernel());
  std::ranges::move(gpu_kernels(), std::back_inserter(kernels));
  return kernels;
}

}  // namespace

std::span<const SearchKernel> search_kernels() {
  static const std::vector<SearchKernel> kernels = all_kernels();
  return kernels;
}

const SearchKernel* find_kernel(const std::string& name) {
  const auto found = std::ranges::find(search_kernels(), name, &SearchKernel::name);
  return found == search_kernels().end() ? nullptr : &*found;
}

bool knows(const SearchKernel& kernel, const Similarity& similarity) {
  return kernel.knows(window_similarity(similarity));
}

const SearchKernel& fastest_cpu_kernel() {
  return *std::ranges::find_if(search_kernels(), [](const SearchKernel& kernel) {
    return kernel.place == KernelPlace::kCpu && kernel.runs_here();
  });
}

std::string kernel_instructions() { return fastest_cpu_kernel().name; }

}  // namespace outsole::match
