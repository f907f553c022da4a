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
  std::int64_t device_bytes = 0;  // of a GPU's memory, for blocks that the kernel keeps there

  /// Whether blocks are brought to the device before the kernel is called; otherwise they stay on the CPU, and a kernel
  /// for GPUs brings them itself.
  bool wants_blocks_on_device() const;
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

/// What a search asks for: options `kernel`, `compute_precision` and `device`.
struct SearchPathWish {
  std::string kernel = "auto";
  std::string precision = "auto";  // 32, tf32, 16
  std::string device = "auto";     // cpu, cuda
  match::Similarity similarity;
};

/// What a rank can search with.
struct RankMeans {
  std::string device;                // of LibTorch: "cpu", "cuda"
  std::vector<std::string> kernels;  // that run there
};

/// The kernel all ranks take. `kernel`: auto (that for GPUs where every rank has one and it knows the similarity and
/// the precision; else tensors where LibTorch has a GPU; else direct), direct (the fastest for CPUs that runs on every
/// rank), or a kernel's name. Throws UsageError for another word, for a kernel that a rank lacks or that does not know
/// the similarity, and where a GPU is asked for and would not be used; EnvironmentError when ranks compute on devices
/// of different kinds, naming the rank.
const match::SearchKernel& agreed_kernel(const SearchPathWish& wish, std::span<const RankMeans> ranks);

/// The path all ranks search by. `device` is that of the features; a kernel for CPUs runs on the CPU whatever that is,
/// a kernel for GPUs on GPU number local_rank modulo those of the machine. Precision auto: 16 on a kernel for GPUs,
/// else
/// 32. Throws as agreed_kernel, and UsageError for a precision that is none or that the kernel does not have.
/// Collective.
SearchPath agreed_search_path(const comm::Communicator& comm, const SearchPathWish& wish, at::Device device);

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
