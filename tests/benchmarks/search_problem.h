#pragma once
// A search the size of FID-300's: 73 x 34 maps of 256 channels, 11 angles, translations of 2 pixels; random features.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "match/search_kernel.h"

namespace outsole::benchmarks {

struct SearchProblem {
  match::PoseGrid grid;
  match::FrameCells frame = {67, 28, 3, 4};
  std::int64_t channels = 256;
  std::vector<match::MarkView> views;
  match::ChannelModel model;
  at::Tensor block;      // packed, kLanes exemplars
  at::Tensor exemplars;  // the same maps [kLanes, C, H, W]

  /// The mark laid out for a kernel; by default the one that a search takes on a CPU.
  match::ReadyMark ready(const match::SearchKernel& kernel = match::fastest_cpu_kernel(),
                         const match::Compute& compute = {}, const match::Similarity& similarity = {}) const {
    return kernel.make_ready(views, {frame, 3, model, similarity}, compute);
  }
};

/// A mark of this size at the search scale, its supports turned rectangles. Features are random, or those of a real
/// index where `bench_search --index FILE.safetensors` names one (tests/benchmarks/index_as_safetensors.py makes it):
/// maps of the search's size; a view has the features of an exemplar.
SearchProblem make_search_problem(std::int64_t mark_height_px, std::int64_t mark_width_px);

/// GFLOP/s of a 2048 x 2048 x 2048 32-bit matrix product on the threads at hand, best of `repeats`.
double sgemm_gflops(int repeats = 4);

double now_s();

/// The smallest length from `length` on without a prime factor above 5: one that an FFT does fast.
std::int64_t next_fast_length(std::int64_t length);

/// The file that --index names; empty: none.
std::filesystem::path& index_file();

}  // namespace outsole::benchmarks
