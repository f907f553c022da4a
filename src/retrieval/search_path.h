#pragma once
// Which code compares a mark with exemplars: the kernel for CPUs, or tensor operations on any device.

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "match/mcncc.h"
#include "match/mcncc_tensors.h"
#include "retrieval/exemplar_blocks.h"
#include "retrieval/index_parameters.h"
#include "retrieval/mark_features.h"

namespace outsole::retrieval {

/// The code that searches blocks, where it runs, and how precisely it multiplies.
struct SearchPath {
  bool in_tensors = false;
  at::Device device = at::Device(at::kCPU);
  match::ComputePrecision precision = match::ComputePrecision::k32;

  /// The blocks it wants to be given.
  BlockAccess block_access() const;
  /// What it needs beside blocks and marks.
  std::int64_t working_bytes(const IndexParameters& index) const;
  /// "the kernel for CPUs (avx512)".
  std::string description() const;
};

/// `kernel`: auto (tensors on a GPU, else direct), direct, tensors. `precision`: 32, tf32, 16. `device` is that of the
/// features; direct is always on the CPU. Throws UsageError for other words, and for another precision than 32 with the
/// direct kernel.
SearchPath choose_search_path(const std::string& kernel, const std::string& precision, at::Device device);

/// A mark ready to be compared with blocks.
class MarkMatcher {
 public:
  /// The support is eroded as `protocol` says, by `index`'s maps.
  MarkMatcher(const SearchPath& path, std::vector<match::MarkView> views, const IndexParameters& index,
              const SearchProtocol& protocol, const match::ChannelModel& channels);

  /// 2 x support cells x channels over all poses.
  double useful_flops_per_exemplar() const;

  /// Merges the best pose of every lane of `blocks` into `best`.
  void search(std::span<const at::Tensor> blocks, std::span<match::BestPose> best) const;

 private:
  std::variant<match::PreparedMark, match::TensorMark> mark_;
};

}  // namespace outsole::retrieval
