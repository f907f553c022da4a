#include "pipeline/exemplar_blocks.h"

#include <algorithm>

#include "core/errors.h"
#include "match/lanes.h"

namespace outsole::pipeline {

namespace {
/// While a block is worked on, the next one may be there as it was read and the one being converted twice.
constexpr std::int64_t kBlocksInFlight = 3;

std::int64_t block_bytes(const IndexParameters& parameters) {
  return parameters.block_floats() * static_cast<std::int64_t>(sizeof(float));
}
}  // namespace

std::int64_t ExemplarBlocks::most_in_memory(const IndexParameters& parameters, std::int64_t memory_bytes) {
  return std::max<std::int64_t>(0, (memory_bytes - least_bytes(parameters)) / block_bytes(parameters));
}

std::int64_t ExemplarBlocks::least_bytes(const IndexParameters& parameters) {
  return kBlocksInFlight * block_bytes(parameters);
}

ExemplarBlocks::ExemplarBlocks(const store::Store& index, const IndexParameters& parameters, std::int64_t first,
                               std::int64_t last, std::int64_t memory_bytes)
    : index_(index),
      parameters_(parameters),
      first_(first),
      last_(last),
      resident_limit_(most_in_memory(parameters, memory_bytes)) {}

std::vector<at::Tensor> ExemplarBlocks::to_blocks(store::Column column) const {
  const match::FrameCells cells = parameters_.frame_cells();
  const std::vector<std::int64_t> shape = {column.shape[0], parameters_.geometry.channels, cells.width, cells.height,
                                           match::kLanes};
  ensure(column.shape == shape, "the index's maps do not have the shape its parameters say");
  // The copy brings the maps to 32 bit and to an address that the kernel's vectors are aligned to.
  at::Tensor maps = at::empty(shape, at::kFloat);
  if (auto* floats = std::get_if<std::vector<float>>(&column.values)) {
    maps.copy_(at::from_blob(floats->data(), shape, at::kFloat));
  } else {
    auto& halves = std::get<std::vector<std::uint16_t>>(column.values);
    maps.copy_(at::from_blob(halves.data(), shape, at::kHalf));
  }
  std::vector<at::Tensor> blocks;
  for (std::int64_t i = 0; i < shape[0]; ++i) blocks.push_back(maps[i]);
  return blocks;
}

void ExemplarBlocks::visit(const std::function<void(std::span<const at::Tensor>, std::int64_t)>& work) {
  if (first_ == last_) return;
  if (!resident_.empty()) return work(resident_, 0);
  const auto read = [&](std::int64_t block) { return index_.read_async("maps", block, 1); };
  std::vector<at::Tensor> kept;  // becomes resident when all are read: a failed read must not leave half of them
  std::future<store::Column> next = read(first_);
  for (std::int64_t block = first_; block < last_; ++block) {
    const std::vector<at::Tensor> current = to_blocks(next.get());
    if (block + 1 < last_) next = read(block + 1);
    if (in_memory()) kept.push_back(current.front());
    work(current, block - first_);
  }
  resident_ = std::move(kept);
}

}  // namespace outsole::pipeline
