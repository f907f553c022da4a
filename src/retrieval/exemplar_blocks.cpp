#include "retrieval/exemplar_blocks.h"

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>

#include "core/errors.h"
#include "match/lanes.h"
#include "match/narrow_maps.h"
#include "match/projection.h"

namespace outsole::retrieval {

namespace {

using match::kLanes;

/// The run worked on, the next one, and another as it was read; and one that exemplars are picked into.
constexpr std::int64_t kRunsInFlight = 4;

std::int64_t block_bytes(const IndexParameters& parameters) {
  return parameters.block_floats() * static_cast<std::int64_t>(sizeof(float));
}

std::int64_t projected_block_bytes(const IndexParameters& parameters, const BlockAccess& access) {
  return block_bytes(parameters) / parameters.map_channels() * access.components;
}

/// Of one that is kept.
std::int64_t kept_block_bytes(const IndexParameters& parameters, const BlockAccess& access) {
  if (access.components > 0) return projected_block_bytes(parameters, access);
  return access.keeps_stored ? parameters.stored_block_bytes() : block_bytes(parameters);
}

/// A stored block's memory as tensors.
struct StoredTensors {
  at::Tensor maps;         // [C, W, H, kLanes] float32, float16 or uint8
  at::Tensor scale, zero;  // [C, kLanes] float32, uint8, with 8 bits
};

StoredTensors stored_tensors(StoredBlock& block, const IndexParameters& parameters) {
  const match::FrameCells cells = parameters.frame_cells();
  const std::vector<std::int64_t> shape = {parameters.map_channels(), cells.width, cells.height, kLanes};
  ensure(block.maps.shape == std::vector<std::int64_t>{1, shape[0], shape[1], shape[2], shape[3]},
         "the index's maps do not have the shape its parameters say");
  if (auto* floats = std::get_if<std::vector<float>>(&block.maps.values)) {
    return {at::from_blob(floats->data(), shape, at::kFloat), {}, {}};
  }
  if (auto* halves = std::get_if<std::vector<std::uint16_t>>(&block.maps.values)) {
    return {at::from_blob(halves->data(), shape, at::kHalf), {}, {}};
  }
  const std::vector<std::int64_t> by_lane = {shape[0], kLanes};
  ensure(block.scale.shape == std::vector<std::int64_t>{1, shape[0], kLanes} && block.zero.shape == block.scale.shape,
         "a scale and a zero of each channel and lane");
  return {at::from_blob(std::get<std::vector<std::uint8_t>>(block.maps.values).data(), shape, at::kByte),
          at::from_blob(std::get<std::vector<float>>(block.scale.values).data(), by_lane, at::kFloat),
          at::from_blob(std::get<std::vector<std::uint8_t>>(block.zero.values).data(), by_lane, at::kByte)};
}

/// A block that is being read.
struct BlockBeingRead {
  std::future<store::Column> maps, scale, zero;

  StoredBlock get() {
    StoredBlock block;
    block.maps = maps.get();
    if (scale.valid()) block.scale = scale.get();
    if (zero.valid()) block.zero = zero.get();
    return block;
  }
};

BlockBeingRead begin_reading(const store::Store& index, std::int64_t row, const IndexParameters& parameters) {
  BlockBeingRead reading;
  reading.maps = index.read_async("maps", row, 1);
  if (parameters.precision_bits > 8) return reading;
  reading.scale = index.read_async("map_scale", row, 1);
  reading.zero = index.read_async("map_zero", row, 1);
  return reading;
}

/// Blocks on their way to a device.
struct Arriving {
  std::vector<at::Tensor> blocks;
  std::optional<c10::Event> arrived;  // on a GPU
};

/// Brings blocks, less `subtracted` [C] if that is defined, to a device: to a GPU on a stream of its own, beside the
/// work that is queued there.
class Carrier {
 public:
  Carrier(at::Device device, const at::Tensor& subtracted) : device_(device) {
    if (subtracted.defined()) subtracted_ = subtracted.to(device).view({-1, 1, 1, 1});
    if (!device.is_cpu()) stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  }

  /// `block` as it was read, from pinned memory if it is for a GPU, to 32 bit on the device.
  void send(StoredBlock& block, const IndexParameters& parameters, Arriving& to) const {
    if (!stream_) {
      to.blocks.push_back(widened(block, parameters));
      if (subtracted_.defined()) to.blocks.back().sub_(subtracted_);
      return;
    }
    const c10::StreamGuard beside(*stream_);
    const auto on_device = [&](const at::Tensor& part) {
      return part.pin_memory().to(device_, /*non_blocking=*/true).to(at::kFloat);
    };
    const StoredTensors stored = stored_tensors(block, parameters);
    to.blocks.push_back(on_device(stored.maps));
    if (stored.scale.defined()) {
      const auto by_lane = [&](const at::Tensor& part) { return on_device(part).unsqueeze(1).unsqueeze(1); };
      to.blocks.back().sub_(by_lane(stored.zero)).mul_(by_lane(stored.scale));
    }
    if (subtracted_.defined()) to.blocks.back() = to.blocks.back() - subtracted_;
    to.arrived.emplace(device_.type());
    to.arrived->record(*stream_);
  }

  /// Makes the work that is queued from now on wait for the blocks.
  std::vector<at::Tensor> receive(Arriving from) const {
    if (from.arrived) {
      const c10::Stream here = c10::impl::VirtualGuardImpl(device_.type()).getStream(device_);
      from.arrived->block(here);
      for (const at::Tensor& block : from.blocks) block.record_stream(here);
    }
    return std::move(from.blocks);
  }

 private:
  at::Device device_;
  at::Tensor subtracted_;  // [C, 1, 1, 1] on the device
  std::optional<c10::Stream> stream_;
};

/// The first element that is an infinity or a NaN (all bits of its exponent are set), or the number of elements.
template <typename Bits, typename Element>
std::size_t first_not_finite(const std::vector<Element>& elements, Bits exponent) {
  const auto is_bad = [&](Element element) { return (std::bit_cast<Bits>(element) & exponent) == exponent; };
  constexpr std::size_t kPiece = 4096;  // looked at as a whole, so that vectors do it
  for (std::size_t begin = 0; begin < elements.size(); begin += kPiece) {
    const auto piece = std::span(elements).subspan(begin, std::min(kPiece, elements.size() - begin));
    Bits found = 0;
    for (const Element element : piece) found |= Bits{is_bad(element)};
    if (found != 0) return begin + static_cast<std::size_t>(std::ranges::find_if(piece, is_bad) - piece.begin());
  }
  return elements.size();
}

/// The lane of a block as it was read that holds something not finite, or kLanes.
std::int64_t lane_not_finite(const StoredBlock& block) {
  const auto lane_of = [](std::size_t first, std::size_t elements) {
    return first == elements ? kLanes : static_cast<std::int64_t>(first) % kLanes;
  };
  const bool has_scale = std::holds_alternative<std::vector<std::uint8_t>>(block.maps.values);
  const store::Column& column = has_scale ? block.scale : block.maps;
  if (const auto* floats = std::get_if<std::vector<float>>(&column.values)) {
    return lane_of(first_not_finite<std::uint32_t>(*floats, 0x7f800000), floats->size());
  }
  const auto& halves = std::get<std::vector<std::uint16_t>>(column.values);
  return lane_of(first_not_finite<std::uint16_t>(halves, 0x7c00), halves.size());
}

}  // namespace

StoredBlock read_block(const store::Store& index, std::int64_t row, const IndexParameters& parameters) {
  return begin_reading(index, row, parameters).get();
}

at::Tensor widened(StoredBlock& block, const IndexParameters& parameters) {
  const StoredTensors stored = stored_tensors(block, parameters);
  at::Tensor wide = at::empty(stored.maps.sizes(), at::kFloat);  // aligned for the kernel's vectors
  if (stored.scale.defined()) {
    match::widen({stored.maps, stored.scale, stored.zero}, wide);
  } else if (stored.maps.scalar_type() == at::kHalf) {
    match::widen_halves(stored.maps, wide);
  } else {
    wide.copy_(stored.maps);
  }
  return wide;
}

std::int64_t ExemplarBlocks::most_in_memory(const IndexParameters& parameters, std::int64_t memory_bytes,
                                            const BlockAccess& access) {
  return std::max<std::int64_t>(
      0, (memory_bytes - least_bytes(parameters, access)) / kept_block_bytes(parameters, access));
}

std::int64_t ExemplarBlocks::least_bytes(const IndexParameters& parameters, const BlockAccess& access) {
  return access.blocks_per_run * (kRunsInFlight * block_bytes(parameters) + projected_block_bytes(parameters, access));
}

ExemplarBlocks::ExemplarBlocks(const OpenIndex& index, std::int64_t first, std::int64_t last, std::int64_t memory_bytes,
                               const BlockAccess& access, const at::Tensor& subtracted)
    : index_(index),
      access_(access),
      subtracted_(subtracted),
      first_(first),
      last_(last),
      resident_limit_(most_in_memory(index.parameters, memory_bytes, access)) {}

bool ExemplarBlocks::keeps_stored() const {
  return access_.keeps_stored && access_.components == 0 && index_.parameters.precision_bits < 32;
}

std::int64_t ExemplarBlocks::kept_bytes() const {
  return in_memory() ? size() * kept_block_bytes(index_.parameters, access_) : 0;
}

const BlockPlace& ExemplarBlocks::place_of(std::int64_t position) const {
  return index_.blocks[static_cast<std::size_t>(first_ + position)];
}

void ExemplarBlocks::project_by(const at::Tensor& projection) {
  if (projection.is_same(wanted_projection_)) return;
  ensure(!projection.defined() || projection.size(0) == access_.components, "blocks of as many components as was said");
  resident_.clear();
  stored_.clear();
  projection_ = projection.defined() ? projection.to(access_.device) : projection;
  wanted_projection_ = projection;
}

void ExemplarBlocks::refuse_not_finite(const StoredBlock& block, const BlockPlace& place) const {
  const std::int64_t lane = lane_not_finite(block);
  if (lane == kLanes) return;
  const store::Store& store = index_.store_of(place);
  const auto ids = std::get<std::vector<std::string>>(store.read("exemplar_id").values);
  const auto exemplar = static_cast<std::size_t>(place.row * kLanes + lane);
  throw DataError(store.path().string() + ": the features of exemplar '" +
                  (exemplar < ids.size() ? ids[exemplar] : "(none)") +
                  "' are not finite, so nothing can be said of it; make the index anew");
}

void ExemplarBlocks::stream(std::span<const std::int64_t> blocks, const BlockWork& work,
                            std::vector<StoredBlock>* kept) const {
  const auto per_run = static_cast<std::size_t>(access_.blocks_per_run);
  const auto run = [&](std::size_t begin) {
    begin = std::min(begin, blocks.size());
    return blocks.subspan(begin, std::min(per_run, blocks.size() - begin));
  };
  const auto begin_reading_run = [&](std::span<const std::int64_t> wanted) {
    std::vector<BlockBeingRead> reading;
    for (const std::int64_t position : wanted) {
      const BlockPlace& place = place_of(position);
      reading.push_back(begin_reading(index_.store_of(place), place.row, index_.parameters));
    }
    return reading;
  };
  const Carrier carrier(access_.device, subtracted_);
  std::size_t sent = 0;
  const auto send = [&](std::vector<BlockBeingRead> reading) {
    Arriving arriving;
    for (BlockBeingRead& read : reading) {
      StoredBlock block = read.get();
      refuse_not_finite(block, place_of(blocks[sent++]));
      carrier.send(block, index_.parameters, arriving);
      if (kept != nullptr) kept->push_back(std::move(block));
    }
    return arriving;
  };
  Arriving next = send(begin_reading_run(run(0)));
  auto reading = begin_reading_run(run(per_run));
  for (std::size_t begin = 0; begin < blocks.size(); begin += per_run) {
    std::vector<at::Tensor> current = carrier.receive(std::move(next));
    if (projection_.defined()) {
      for (at::Tensor& block : current) block = match::project_channels(projection_, block);
    }
    next = send(std::move(reading));
    reading = begin_reading_run(run(begin + 2 * per_run));
    work(current, run(begin));
  }
}

at::Tensor ExemplarBlocks::made_of(StoredBlock& stored) const {
  at::Tensor block = widened(stored, index_.parameters);
  if (subtracted_.defined()) block.sub_(subtracted_.view({-1, 1, 1, 1}));
  return block;
}

void ExemplarBlocks::visit(const std::function<void(std::span<const at::Tensor>, std::int64_t)>& work) {
  if (first_ == last_) return;
  if (!resident_.empty()) return work(resident_, 0);
  for (std::size_t begin = 0; begin < stored_.size();) {
    // As many at a time as there is memory for while nothing is being read.
    std::vector<at::Tensor> run;
    while (begin + run.size() < stored_.size() && std::ssize(run) < kRunsInFlight * access_.blocks_per_run) {
      run.push_back(made_of(stored_[begin + run.size()]));
    }
    work(run, static_cast<std::int64_t>(begin));
    begin += run.size();
  }
  if (!stored_.empty()) return;
  std::vector<std::int64_t> all(static_cast<std::size_t>(size()));
  std::iota(all.begin(), all.end(), 0);
  // What is kept becomes resident when all are read: a failed read must not leave half of it.
  const bool keeps = in_memory(), as_stored = keeps && keeps_stored();
  std::vector<at::Tensor> kept;
  std::vector<StoredBlock> stored;
  stream(
      all,
      [&](std::span<const at::Tensor> run, std::span<const std::int64_t> positions) {
        if (keeps && !as_stored) kept.insert(kept.end(), run.begin(), run.end());
        work(run, positions.front());
      },
      as_stored ? &stored : nullptr);
  resident_ = std::move(kept);
  stored_ = std::move(stored);
}

void ExemplarBlocks::visit_exemplars(
    std::span<const std::int64_t> exemplars,
    const std::function<void(std::span<const at::Tensor>, std::span<const std::int64_t>)>& work) const {
  std::vector<at::Tensor> packed;
  std::size_t taken = 0, given = 0;  // of `exemplars`: copied, handed to `work`
  const auto hand_over = [&] {
    work(packed, exemplars.subspan(given, taken - given));
    given = taken;
    packed.clear();
  };
  const auto take_from = [&](const at::Tensor& block, std::int64_t position) {
    while (taken < exemplars.size() && exemplars[taken] / kLanes == position) {
      const auto lane_to = static_cast<std::int64_t>((taken - given) % kLanes);
      if (lane_to == 0) packed.push_back(at::zeros_like(block));
      std::vector<std::int64_t> lanes;
      while (taken < exemplars.size() && exemplars[taken] / kLanes == position &&
             lane_to + std::ssize(lanes) < kLanes) {
        lanes.push_back(exemplars[taken++] % kLanes);
      }
      packed.back()
          .slice(3, lane_to, lane_to + std::ssize(lanes))
          .copy_(block.index({at::indexing::Ellipsis, at::tensor(lanes).to(block.device())}));
      if (static_cast<std::int64_t>(taken - given) == access_.blocks_per_run * kLanes) hand_over();
    }
  };
  std::vector<std::int64_t> wanted;
  for (const std::int64_t exemplar : exemplars) {
    if (wanted.empty() || wanted.back() != exemplar / kLanes) wanted.push_back(exemplar / kLanes);
  }
  if (!resident_.empty()) {
    for (const std::int64_t block : wanted) take_from(resident_[static_cast<std::size_t>(block)], block);
  } else if (!stored_.empty()) {
    for (const std::int64_t block : wanted) take_from(made_of(stored_[static_cast<std::size_t>(block)]), block);
  } else if (!wanted.empty()) {
    stream(
        wanted,
        [&](std::span<const at::Tensor> run, std::span<const std::int64_t> positions) {
          for (std::size_t i = 0; i < run.size(); ++i) take_from(run[i], positions[i]);
        },
        nullptr);
  }
  if (given < taken) hand_over();
}

}  // namespace outsole::retrieval
