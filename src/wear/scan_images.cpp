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

/// Writes one scan's [height, width] into a batch: where nothing is known, paper.
void convert(const Scan& scan, const Movement& movement, std::int64_t width_px, std::span<float> grey,
             std::span<float> known) {
  ensure(scan.pixels.size() == grey.size() && scan.support.size() == known.size(), "a scan has the store's size");
  const std::int64_t height_px = std::ssize(grey) / width_px;
  std::ranges::fill(grey, 1.0F);
  std::ranges::fill(known, 0.0F);
  for (std::int64_t y = std::max<std::int64_t>(0, movement.down_px);
       y < std::min(height_px, height_px + movement.down_px); ++y) {
    for (std::int64_t x = std::max<std::int64_t>(0, movement.right_px);
         x < std::min(width_px, width_px + movement.right_px); ++x) {
      const std::int64_t column = x - movement.right_px;
      const auto from = static_cast<std::size_t>((y - movement.down_px) * width_px +
                                                 (movement.is_mirrored ? width_px - 1 - column : column));
      if (scan.support[from] == 0) continue;
      const auto to = static_cast<std::size_t>(y * width_px + x);
      known[to] = 1.0F;
      grey[to] = static_cast<float>(scan.pixels[from]) / 255.0F;
    }
  }
}

}  // namespace

struct ScanImages::State {
  const wear::PreparedStore& scans;
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

ScanImages::ScanImages(const wear::PreparedStore& scans, std::int64_t memory_bytes)
    : state_(std::make_unique<State>(State{scans, 0, {}})) {
  const std::int64_t scan_bytes = std::max<std::int64_t>(1, 2 * state_->pixels());
  state_->capacity = static_cast<std::size_t>(std::max<std::int64_t>(0, memory_bytes) / scan_bytes);
}

ScanImages::~ScanImages() = default;

ScanBatch ScanImages::batch(std::span<const ShownScan> shown) {
  State& state = *state_;
  ++state.turn;
  for (const ShownScan& scan : shown) state.wanted(scan.index, state.turn);
  state.make_room();
  const std::vector<std::int64_t> shape{std::ssize(shown), 1, state.scans.height_px(), state.scans.width_px()};
  ScanBatch batch{at::empty(shape, at::kFloat), at::empty(shape, at::kFloat)};
  const auto pixels = static_cast<std::size_t>(state.pixels());
  for (std::size_t i = 0; i < shown.size(); ++i) {
    Scan& scan = state.kept.at(shown[i].index);
    scan.arrive();
    convert(scan, shown[i].movement, state.scans.width_px(), {batch.grey.data_ptr<float>() + i * pixels, pixels},
            {batch.known.data_ptr<float>() + i * pixels, pixels});
  }
  return batch;
}

void ScanImages::prefetch(std::span<const ShownScan> shown) {
  State& state = *state_;
  for (const ShownScan& scan : shown) state.wanted(scan.index, state.turn + 1);
  state.make_room();
}

std::vector<KnownPixels> sum_known_pixels(const wear::PreparedStore& scans, std::int64_t first, std::int64_t count) {
  std::vector<KnownPixels> sums;
  for (std::int64_t index = first; index < first + count; ++index) {
    const Bytes support = bytes_of(scans.store().read("support", index, 1));
    const Bytes pixels = bytes_of(scans.store().read("pixels", index, 1));
    ensure(support.size() == pixels.size(), "a scan has the store's size");
    KnownPixels& sum = sums.emplace_back();
    for (std::size_t i = 0; i < pixels.size(); ++i) {
      if (support[i] == 0) continue;
      const double grey = pixels[i] / 255.0;
      ++sum.count;
      sum.grey_sum += grey;
      sum.square_sum += grey * grey;
    }
  }
  return sums;
}

}  // namespace outsole::wear
