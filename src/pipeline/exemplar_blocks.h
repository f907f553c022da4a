#pragma once
// The exemplar side of a search, in memory or streamed through it.

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "pipeline/index_parameters.h"
#include "store/store.h"

namespace outsole::pipeline {

/// A range of an index's blocks, visited in order. When they fit into the memory given they are read once; else every
/// visit reads them anew, the next ones while the caller works on these.
class ExemplarBlocks {
 public:
  /// Blocks [first, last) of the index, holding at most `memory_bytes` of them at a time (least_bytes or more).
  ExemplarBlocks(const store::Store& index, const IndexParameters& parameters, std::int64_t first, std::int64_t last,
                 std::int64_t memory_bytes);

  /// The most blocks that `memory_bytes` can keep.
  static std::int64_t most_in_memory(const IndexParameters& parameters, std::int64_t memory_bytes);
  /// The least memory that streaming takes.
  static std::int64_t least_bytes(const IndexParameters& parameters);

  bool in_memory() const { return last_ - first_ <= resident_limit_; }
  std::int64_t size() const { return last_ - first_; }

  /// Calls `work` with consecutive runs of blocks ([C, W, H, kLanes] float32) and the position of the first one in this
  /// range.
  void visit(const std::function<void(std::span<const at::Tensor>, std::int64_t)>& work);

 private:
  std::vector<at::Tensor> to_blocks(store::Column column) const;

  const store::Store& index_;
  IndexParameters parameters_;
  std::int64_t first_, last_;
  std::int64_t resident_limit_;  // blocks that fit into the memory
  std::vector<at::Tensor> resident_;
};

}  // namespace outsole::pipeline
