#pragma once
// The kernels of the search as values, in one table: what `outsole info --kernels` lists and `--kernel` forces.
//
// A kernel takes the same marks and blocks as any other and comes to the same scores but for rounding. A new one is one
// line of the table in search_kernel.cpp.

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "match/mcncc.h"
#include "match/mcncc_tensors.h"

namespace outsole::match {

/// What a kernel needs to know beside a mark's views. With statistics of the data set (needs_statistics) it wants
/// blocks less subtracted_from_maps.
struct SearchTerms {
  FrameCells frame;
  std::int64_t erosion_radius = 0;  // cells; not below frame.border
  ChannelModel channels;
  Similarity similarity;
};

/// Where a kernel computes, and how precisely it multiplies. For a kernel of KernelPlace::kGpu the device's index is
/// that of a GPU, whether LibTorch sees it or not.
struct Compute {
  at::Device device = at::Device(at::kCPU);
  ComputePrecision precision = ComputePrecision::k32;
  std::int64_t device_bytes = 0;  // of a GPU's memory that a kernel for GPUs may keep blocks in; 0: what is free
};

/// A mark laid out for a kernel.
struct ReadyMark {
  /// 2 x support cells x channels, over all poses: the multiply-adds one exemplar costs by the definition.
  double useful_flops_per_exemplar = 0;
  /// Searches every exemplar of `blocks`; best[b * kLanes + l] is merged with the best pose of lane l of block b. Any
  /// thread, one at a time; runs on all OpenMP threads. An exemplar whose maps are not finite has the score NaN.
  std::function<void(std::span<const at::Tensor> blocks, std::span<BestPose> best)> search;
};

enum class KernelPlace {
  kCpu,        // in 32 bit
  kAnyDevice,  // of LibTorch, in any precision
  kGpu,        // that the driver sees, whatever LibTorch does; in 16 bit
};

struct SearchKernel {
  std::string name;  // "avx2"
  std::string description;
  std::string needs;  // of the processor, in words
  KernelPlace place = KernelPlace::kCpu;
  int (*gpus)() = [] { return 0; };  // that a kernel for GPUs sees here
  bool (*runs_here)() = nullptr;     // whether this machine has what it needs
  /// Of similarities that window_terms gives.
  bool (*knows)(const Similarity& similarity) = [](const Similarity&) { return true; };
  std::function<ReadyMark(std::vector<MarkView> views, const SearchTerms& terms, const Compute& compute)> make_ready;
  /// What a search takes beside marks and blocks, at most, on `threads` threads, for maps of `channels`, translations
  /// of stride_px.
  std::function<std::int64_t(const FrameCells& frame, std::int64_t channels, std::int64_t stride_px, int threads,
                             const Similarity& similarity, const Compute& compute)>
      working_bytes;
};

/// All kernels: those for CPUs, fastest first, then tensor operations, then those for GPUs.
std::span<const SearchKernel> search_kernels();

/// Whether a kernel can compare by a similarity.
bool knows(const SearchKernel& kernel, const Similarity& similarity);

/// The kernel of that name, or null.
const SearchKernel* find_kernel(const std::string& name);

/// The fastest kernel for CPUs that runs here.
const SearchKernel& fastest_cpu_kernel();

}  // namespace outsole::match
