#include "match/gpu_kernel.h"

#include "core/checked.h"
#include "core/errors.h"
#include "core/gpu.h"
#include "match/gpu/gpu_search.h"
#include "match/lanes.h"

namespace outsole::match {

namespace {

/// Whether there are GPUs, all of the generation that the PTX is made for or later: a rank may get any of them.
bool all_gpus_are_new_enough() {
  constexpr int kLeastCapability = 80;
  for (int gpu = 0; gpu < gpu_count(); ++gpu) {
    if (gpu_capability(gpu) < kLeastCapability) return false;
  }
  return gpu_count() > 0;
}

}  // namespace

std::vector<SearchKernel> gpu_kernels() {
  return {
      {.name = "gpu",
       .description = "tensor cores, 16-bit products with 32-bit sums, all channels in one pass",
       .needs = "a GPU of compute capability 8.0 or more, and its driver",
       .place = KernelPlace::kGpu,
       .gpus = gpu_count,
       .runs_here = all_gpus_are_new_enough,
       .knows = gpu::knows,
       .make_ready =
           [](std::vector<MarkView> views, const SearchTerms& terms, const Compute& compute) {
             auto [channels, similarity] = window_terms(terms.similarity, terms.channels);
             ensure(compute.device.is_cuda(), "a kernel for GPUs computes there");
             auto mark = std::make_shared<const gpu::GpuMark>(
                 std::move(views), terms.frame, terms.erosion_radius, std::move(channels), similarity,
                 Gpu::number(compute.device.has_index() ? compute.device.index() : 0));
             const double flops = mark->useful_flops_per_exemplar();
             return ReadyMark{flops, [mark, most = compute.device_bytes](std::span<const at::Tensor> blocks,
                                                                         std::span<BestPose> best) {
                                gpu::search_blocks(*mark, blocks, best, most);
                              }};
           },
       // One block: more are kept where there is room.
       .working_bytes =
           [](const FrameCells& frame, std::int64_t channels, std::int64_t, int, const Similarity&, const Compute&) {
             return checked_product({channels, frame.height, frame.width, kLanes, 6}, "a block");
           }}};
}

}  // namespace outsole::match
