#pragma once
// Which kernel compares a mark with exemplars, the same on all ranks.

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "match/search_kernel.h"
#include "retrieval/exemplar_blocks.h"
#include "retrieval/index_parameters.h"
#include "retrieval/mark_features.h"

namespace outsole::retrieval {

/// The kernel that searches blocks, where it runs, and how precisely it multiplies.
struct SearchPath {
  const match::SearchKernel* kernel = nullptr;
  at::Device device = at::Device(at::kCPU);
  match::ComputePrecision precision = match::ComputePrecision::k32;

  /// The blocks it wants to be given.
  BlockAccess block_access() const;
  /// What it needs beside blocks and marks to compare so many channels; `coarse_first`: for a first pass over the
  /// coarse grid, too.
  std::int64_t working_bytes(const IndexParameters& index, std::int64_t channels, const SearchProtocol& protocol,
                             bool coarse_first) const;
  /// "the kernel for CPUs (avx512)".
  std::string description() const;
  /// What decides the last digits of the scores, the same for every device of a kind: "avx512, 32-bit floats".
  std::string arithmetic() const;
};

/// What a rank can search with.
struct RankMeans {
  std::string device;                // "cpu", "cuda"
  std::vector<std::string> kernels;  // that run there
};

/// The kernel all ranks take. `wanted`: auto (tensors on a GPU, else direct), direct (the fastest for CPUs that runs on
/// every rank), or a kernel's name. Throws UsageError for another word and for a kernel that a rank lacks, and
/// EnvironmentError when ranks compute on devices of different kinds, naming the rank.
const match::SearchKernel& agreed_kernel(std::string wanted, std::span<const RankMeans> ranks);

/// The path all ranks search by: `kernel` as of agreed_kernel, `precision` 32, tf32 or 16; `device` is that of the
/// features; a kernel for CPUs runs on the CPU whatever that is. Throws as agreed_kernel, and UsageError for another
/// precision and for another than 32 with a kernel for CPUs. Collective.
SearchPath agreed_search_path(const comm::Communicator& comm, const std::string& kernel, const std::string& precision,
                              at::Device device);

/// A mark ready to be compared with blocks.
class MarkMatcher {
 public:
  /// The support is eroded as `protocol` says, by `index`'s maps. Throws DataError when the mark's features are not
  /// finite.
  MarkMatcher(const SearchPath& path, std::vector<match::MarkView> views, const IndexParameters& index,
              const SearchProtocol& protocol, const match::ChannelModel& channels);

  /// 2 x support cells x channels over all poses.
  double useful_flops_per_exemplar() const { return mark_.useful_flops_per_exemplar; }

  /// Merges the best pose of every lane of `blocks` into `best`.
  void search(std::span<const at::Tensor> blocks, std::span<match::BestPose> best) const { mark_.search(blocks, best); }

 private:
  match::ReadyMark mark_;
};

}  // namespace outsole::retrieval
