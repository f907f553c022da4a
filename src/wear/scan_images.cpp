#include "wear/scan_images.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <future>
#include <map>

#include "core/errors.h"

namespace outsole::wear {

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes bytes_of(store::Column column) { return std::get<Bytes>(std::move(column.values)); }

/// One scan: first on its way, then here.
struct Scan {
  std::future<store::Column> pixels_to_come, support_to_come;
  Bytes pixels, support;  // [height, width]
  std::int64_t turn = 0;  // of the batch that it was last wanted for

  bool is_here() const { return !pixels_to_come.valid(); }
  void arrive() {
    if (is_here()) return;
    support = bytes_of(support_to_come.get());
    pixels = bytes_of(pixels_to_come.get());
  }
};

/// Writes one scan's [height, width] into a batch.
void convert(const Scan& scan, std::span<float> grey, std::span<float> known) {
  ensure(scan.pixels.size() == grey.size() && scan.support.size() == known.size(), "a scan has the store's size");
  for (std::size_t i = 0; i < grey.size(); ++i) {
    const bool is_known = scan.support[i] != 0;
    known[i] = is_known ? 1.0F : 0.0F;
    grey[i] = is_known ? static_cast<float>(scan.pixels[i]) / 255.0F : 1.0F;
  }
}

}  // namespace

struct ScanImages::State {
  const store::PreparedStore& scans;
  std::size_t capacity;
  std::map<std::int64_t, Scan> kept;
  std::int64_t turn = 0;  // of the current batch

  std::int64_t pixels() const { return scans.height_px() * scans.width_px(); }

  Scan& wanted(std::int64_t index, std::int64_t for_turn) {
    ensure(index >= 0 && index < scans.size(), "the scan lies within the store");
    Scan& scan = kept[index];
    if (scan.is_here() && scan.pixels.empty()) {
      scan.support_to_come = scans.store().read_async("support", index, 1);
      scan.pixels_to_come = scans.store().read_async("pixels", index, 1);
    }
    scan.turn = std::max(scan.turn, for_turn);
    return scan;
  }

  /// Lets the least recently used scans go, never those of this batch or the next.
  void make_room() {
    while (kept.size() > capacity) {
      const auto oldest = std::ranges::min_element(kept, {}, [](const auto& entry) { return entry.second.turn; });
      if (oldest->second.turn >= turn) return;
      kept.erase(oldest);
    }
  }
};

ScanImages::ScanImages(const store::PreparedStore& scans, std::int64_t memory_bytes)
    : state_(std::make_unique<State>(State{scans, 0, {}})) {
  const std::int64_t scan_bytes = std::max<std::int64_t>(1, 2 * state_->pixels());
  state_->capacity = static_cast<std::size_t>(std::max<std::int64_t>(0, memory_bytes) / scan_bytes);
}

ScanImages::~ScanImages() = default;

ScanBatch ScanImages::batch(std::span<const std::int64_t> indices) {
  State& state = *state_;
  ++state.turn;
  for (const std::int64_t index : indices) state.wanted(index, state.turn);
  state.make_room();
  const std::vector<std::int64_t> shape{std::ssize(indices), 1, state.scans.height_px(), state.scans.width_px()};
  ScanBatch batch{at::empty(shape, at::kFloat), at::empty(shape, at::kFloat)};
  const auto pixels = static_cast<std::size_t>(state.pixels());
  for (std::size_t i = 0; i < indices.size(); ++i) {
    Scan& scan = state.kept.at(indices[i]);
    scan.arrive();
    convert(scan, {batch.grey.data_ptr<float>() + i * pixels, pixels},
            {batch.known.data_ptr<float>() + i * pixels, pixels});
  }
  return batch;
}

void ScanImages::prefetch(std::span<const std::int64_t> indices) {
  State& state = *state_;
  for (const std::int64_t index : indices) state.wanted(index, state.turn + 1);
  state.make_room();
}

std::vector<std::int64_t> count_known_pixels(const store::PreparedStore& scans, std::int64_t first,
                                             std::int64_t count) {
  std::vector<std::int64_t> known;
  for (std::int64_t index = first; index < first + count; ++index) {
    const Bytes support = bytes_of(scans.store().read("support", index, 1));
    known.push_back(std::ssize(support) - std::ranges::count(support, std::uint8_t{0}));
  }
  return known;
}

}  // namespace outsole::wear
