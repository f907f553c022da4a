#pragma once
// The exemplar side of a search, in memory or streamed through it.

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "retrieval/index_parameters.h"
#include "retrieval/open_index.h"
#include "store/store.h"

namespace outsole::retrieval {

/// A block as its index holds it, in 32, 16 or 8 bits, with the memory that it lies in.
struct StoredBlock {
  store::Column maps;
  store::Column scale, zero;  // with 8 bits only
};

/// Row `row` of the index. Throws DataError. Any thread.
StoredBlock read_block(const store::Store& index, std::int64_t row, const IndexParameters& parameters);

/// [C, W, H, kLanes] float32 in memory of its own. Throws Bug when the block does not have the shape that the
/// parameters say.
at::Tensor widened(StoredBlock& block, const IndexParameters& parameters);

/// Where blocks are wanted, how many at a time, and of how many channels.
struct BlockAccess {
  at::Device device = at::Device(at::kCPU);
  std::int64_t blocks_per_run = 1;
  std::int64_t components = 0;  // of blocks that are projected (ExemplarBlocks::project_by); 0: they are not
  /// Blocks of fewer than 32 bits that are not projected are kept so, and widened for every visit. Not where a kernel
  /// keeps, on a device, what it was given before.
  bool keeps_stored = true;
};

/// A range of an index's blocks (OpenIndex::blocks), visited in order. When they fit into the memory given they are
/// read once; else every visit reads them anew. While the caller works on a run of blocks the one after it is brought
/// to the device (on a GPU from pinned memory, on a stream of its own) and the one after that is read from disk. Every
/// visit throws DataError naming an exemplar whose features are not finite: it could neither be ranked nor left out
/// without a word.
class ExemplarBlocks {
 public:
  /// Blocks [first, last) of the index, holding at most `memory_bytes` of them at a time (least_bytes or more), less
  /// `subtracted` [C] if that is defined (match::subtracted_from_maps).
  ExemplarBlocks(const OpenIndex& index, std::int64_t first, std::int64_t last, std::int64_t memory_bytes,
                 const BlockAccess& access = {}, const at::Tensor& subtracted = {});

  /// The most blocks that `memory_bytes` can keep.
  static std::int64_t most_in_memory(const IndexParameters& parameters, std::int64_t memory_bytes,
                                     const BlockAccess& access = {});
  /// The least memory that streaming takes.
  static std::int64_t least_bytes(const IndexParameters& parameters, const BlockAccess& access = {});

  /// From the next visit on blocks are `projection` [components, C] float32 times those of the index; undefined: as
  /// they are. Those kept that were projected by another are read anew.
  void project_by(const at::Tensor& projection);

  bool in_memory() const { return last_ - first_ <= resident_limit_; }
  std::int64_t size() const { return last_ - first_; }
  /// Whether every visit costs reading or widening, which marks may share.
  bool makes_blocks_anew() const { return !in_memory() || keeps_stored(); }
  /// What this keeps between visits.
  std::int64_t kept_bytes() const;

  /// Calls `work` with consecutive runs of blocks ([C, W, H, kLanes] float32, projected [components, W, H, kLanes]) and
  /// the position of the first one in this range.
  void visit(const std::function<void(std::span<const at::Tensor>, std::int64_t)>& work);

  /// Calls `work` with blocks filled, lane after lane, with the exemplars that are asked for (numbers of this range,
  /// ascending: lane l of block b is b * kLanes + l), and with their numbers. Reads only the blocks they lie in.
  void visit_exemplars(
      std::span<const std::int64_t> exemplars,
      const std::function<void(std::span<const at::Tensor>, std::span<const std::int64_t>)>& work) const;

 private:
  using BlockWork = std::function<void(std::span<const at::Tensor>, std::span<const std::int64_t>)>;

  bool keeps_stored() const;

  /// Throws DataError naming the exemplar when a block as it was read holds a NaN or an infinity.
  void refuse_not_finite(const StoredBlock& block, const BlockPlace& place) const;

  const BlockPlace& place_of(std::int64_t position) const;

  /// A block that is kept as it is stored, as kernels take it.
  at::Tensor made_of(StoredBlock& stored) const;

  /// Reads `blocks` (by their position in this range) run by run, and calls `work` with each. Where `kept` is given the
  /// blocks as they were read go there.
  void stream(std::span<const std::int64_t> blocks, const BlockWork& work, std::vector<StoredBlock>* kept) const;

  const OpenIndex& index_;
  BlockAccess access_;
  at::Tensor subtracted_;
  std::int64_t first_, last_;
  std::int64_t resident_limit_;                // blocks that fit into the memory
  at::Tensor wanted_projection_, projection_;  // as it was given, and on the device
  std::vector<at::Tensor> resident_;           // as kernels take them,
  mutable std::vector<StoredBlock> stored_;    // or as they are stored
};

}  // namespace outsole::retrieval
