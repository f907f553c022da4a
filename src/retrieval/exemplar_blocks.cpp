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

  /// `block` as it was read, in pinned memory if it is for a GPU, to 32 bit on the device.
  void send(const at::Tensor& block, Arriving& to) const {
    if (!stream_) {
      // A copy of its own: aligned for the kernel's vectors.
      to.blocks.push_back(at::empty(block.sizes(), at::kFloat).copy_(block));
      if (subtracted_.defined()) to.blocks.back().sub_(subtracted_);
      return;
    }
    const c10::StreamGuard beside(*stream_);
    to.blocks.push_back(block.pin_memory().to(device_, /*non_blocking=*/true).to(at::kFloat));
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
std::int64_t lane_not_finite(const store::Column& column) {
  const auto lane_of = [](std::size_t first, std::size_t elements) {
    return first == elements ? kLanes : static_cast<std::int64_t>(first) % kLanes;
  };
  if (const auto* floats = std::get_if<std::vector<float>>(&column.values)) {
    return lane_of(first_not_finite<std::uint32_t>(*floats, 0x7f800000), floats->size());
  }
  const auto& halves = std::get<std::vector<std::uint16_t>>(column.values);
  return lane_of(first_not_finite<std::uint16_t>(halves, 0x7c00), halves.size());
}

}  // namespace

at::Tensor block_as_read(store::Column& column, const IndexParameters& parameters) {
  const match::FrameCells cells = parameters.frame_cells();
  const std::vector<std::int64_t> shape = {parameters.map_channels(), cells.width, cells.height, kLanes};
  ensure(column.shape == std::vector<std::int64_t>{1, shape[0], shape[1], shape[2], shape[3]},
         "the index's maps do not have the shape its parameters say");
  if (auto* floats = std::get_if<std::vector<float>>(&column.values)) {
    return at::from_blob(floats->data(), shape, at::kFloat);
  }
  return at::from_blob(std::get<std::vector<std::uint16_t>>(column.values).data(), shape, at::kHalf);
}

std::int64_t ExemplarBlocks::most_in_memory(const IndexParameters& parameters, std::int64_t memory_bytes,
                                            const BlockAccess& access) {
  const std::int64_t kept = access.components > 0 ? projected_block_bytes(parameters, access) : block_bytes(parameters);
  return std::max<std::int64_t>(0, (memory_bytes - least_bytes(parameters, access)) / kept);
}

std::int64_t ExemplarBlocks::least_bytes(const IndexParameters& parameters, const BlockAccess& access) {
  return access.blocks_per_run * (kRunsInFlight * block_bytes(parameters) + projected_block_bytes(parameters, access));
}

ExemplarBlocks::ExemplarBlocks(const store::Store& index, const IndexParameters& parameters, std::int64_t first,
                               std::int64_t last, std::int64_t memory_bytes, const BlockAccess& access,
                               const at::Tensor& subtracted)
    : index_(index),
      parameters_(parameters),
      access_(access),
      subtracted_(subtracted),
      first_(first),
      last_(last),
      resident_limit_(most_in_memory(parameters, memory_bytes, access)) {}

void ExemplarBlocks::project_by(const at::Tensor& projection) {
  if (projection.is_same(wanted_projection_)) return;
  ensure(!projection.defined() || projection.size(0) == access_.components, "blocks of as many components as was said");
  resident_.clear();
  projection_ = projection.defined() ? projection.to(access_.device) : projection;
  wanted_projection_ = projection;
}

void ExemplarBlocks::refuse_not_finite(const store::Column& column, std::int64_t block) const {
  const std::int64_t lane = lane_not_finite(column);
  if (lane == kLanes) return;
  const auto ids = std::get<std::vector<std::string>>(index_.read("exemplar_id").values);
  const auto exemplar = static_cast<std::size_t>(block * kLanes + lane);
  throw DataError(index_.path().string() + ": the features of exemplar '" +
                  (exemplar < ids.size() ? ids[exemplar] : "(none)") +
                  "' are not finite, so nothing can be said of it; make the index anew");
}

void ExemplarBlocks::stream(std::span<const std::int64_t> blocks, const BlockWork& work) const {
  const auto per_run = static_cast<std::size_t>(access_.blocks_per_run);
  const auto run = [&](std::size_t begin) {
    begin = std::min(begin, blocks.size());
    return blocks.subspan(begin, std::min(per_run, blocks.size() - begin));
  };
  const auto begin_reading = [&](std::span<const std::int64_t> wanted) {
    std::vector<std::future<store::Column>> reading;
    for (const std::int64_t block : wanted) reading.push_back(index_.read_async("maps", first_ + block, 1));
    return reading;
  };
  const Carrier carrier(access_.device, subtracted_);
  std::size_t sent = 0;
  const auto send = [&](std::vector<std::future<store::Column>> reading) {
    Arriving arriving;
    for (auto& read : reading) {
      store::Column column = read.get();
      refuse_not_finite(column, first_ + blocks[sent++]);
      carrier.send(block_as_read(column, parameters_), arriving);
    }
    return arriving;
  };
  Arriving next = send(begin_reading(run(0)));
  auto reading = begin_reading(run(per_run));
  for (std::size_t begin = 0; begin < blocks.size(); begin += per_run) {
    std::vector<at::Tensor> current = carrier.receive(std::move(next));
    if (projection_.defined()) {
      for (at::Tensor& block : current) block = match::project_channels(projection_, block);
    }
    next = send(std::move(reading));
    reading = begin_reading(run(begin + 2 * per_run));
    work(current, run(begin));
  }
}

void ExemplarBlocks::visit(const std::function<void(std::span<const at::Tensor>, std::int64_t)>& work) {
  if (first_ == last_) return;
  if (!resident_.empty()) return work(resident_, 0);
  std::vector<std::int64_t> all(static_cast<std::size_t>(size()));
  std::iota(all.begin(), all.end(), 0);
  std::vector<at::Tensor> kept;  // becomes resident when all are read: a failed read must not leave half of them
  stream(all, [&](std::span<const at::Tensor> run, std::span<const std::int64_t> positions) {
    if (in_memory()) kept.insert(kept.end(), run.begin(), run.end());
    work(run, positions.front());
  });
  resident_ = std::move(kept);
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
  } else if (!wanted.empty()) {
    stream(wanted, [&](std::span<const at::Tensor> run, std::span<const std::int64_t> positions) {
      for (std::size_t i = 0; i < run.size(); ++i) take_from(run[i], positions[i]);
    });
  }
  if (given < taken) hand_over();
}

}  // namespace outsole::retrieval
