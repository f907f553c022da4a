#include "wear/scan_images.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <future>
#include <map>
#include <type_traits>
#include <utility>

#include "core/checked.h"
#include "core/errors.h"
#include "store/io_thread.h"

namespace outsole::wear {

namespace {

using Bytes = std::vector<std::uint8_t>;

/// Rows of a scan as it is shown, [rows, width].
struct ShownRows {
  Bytes grey, known;  // known: 0 or 255
};

/// The rows of a movement's batch where they come from in the scan; empty where all come from outside.
comm::UnitRange source_rows(comm::UnitRange rows, const Movement& movement, std::int64_t height_px) {
  const comm::UnitRange source{std::clamp<std::int64_t>(rows.begin - movement.down_px, 0, height_px),
                               std::clamp<std::int64_t>(rows.end - movement.down_px, 0, height_px)};
  return source.size() > 0 ? source : comm::UnitRange();
}

bool covers(comm::UnitRange outer, comm::UnitRange inner) {
  return inner.size() == 0 || (outer.begin <= inner.begin && inner.end <= outer.end);
}

/// The least range that holds both.
comm::UnitRange hull(comm::UnitRange a, comm::UnitRange b) {
  if (a.size() == 0) return b;
  if (b.size() == 0) return a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

/// Rows that may be read at once: where scans are reduced, those that cover a few MB of the store.
std::int64_t piece_rows(const PreparedStore& scans) {
  constexpr std::int64_t kPieceBytes = 4 << 20;
  const ShownSize stored = scans.stored_size();
  const std::int64_t bytes_a_row = divide_up(stored.height_px, scans.height_px()) * stored.width_px;
  return std::max<std::int64_t>(1, kPieceBytes / bytes_a_row);
}

Bytes lines_of(const PreparedStore& scans, const char* dataset, std::int64_t index, comm::UnitRange rows) {
  return std::get<Bytes>(scans.store().read_lines(dataset, index, rows.begin, rows.size()));
}

ShownRows read_stored(const PreparedStore& scans, std::int64_t index, comm::UnitRange rows) {
  ShownRows stored;
  stored.known = lines_of(scans, "support", index, rows);
  stored.grey = lines_of(scans, "pixels", index, rows);
  return stored;
}

/// The rows of a scan as it is shown.
ShownRows read_shown(const PreparedStore& scans, std::int64_t index, comm::UnitRange rows) {
  const ShownSize stored_size = scans.stored_size(), size = scans.shown_size();
  if (size == stored_size) return read_stored(scans, index, rows);
  ShownRows shown;
  shown.grey.resize(static_cast<std::size_t>(rows.size() * size.width_px));
  shown.known.resize(shown.grey.size());
  const std::int64_t step = piece_rows(scans);
  for (std::int64_t begin = rows.begin; begin < rows.end; begin += step) {
    const comm::UnitRange piece{begin, std::min(begin + step, rows.end)};
    const ShownRows stored = read_stored(scans, index, covered_rows(piece, stored_size.height_px, size.height_px));
    const auto from = static_cast<std::size_t>((begin - rows.begin) * size.width_px);
    const auto count = static_cast<std::size_t>(piece.size() * size.width_px);
    reduce_rows(stored_size, size, piece, stored.grey, stored.known, std::span(shown.grey).subspan(from, count),
                std::span(shown.known).subspan(from, count));
  }
  return shown;
}

/// One scan: first on its way, then here.
struct Scan {
  comm::UnitRange rows;  // that are on their way, or here
  std::future<ShownRows> to_come;
  ShownRows here;
  std::int64_t turn = 0;  // of the batch that it was last wanted for

  void arrive() {
    if (!to_come.valid()) return;
    const comm::UnitRange coming = std::exchange(rows, comm::UnitRange());  // should it not come
    here = to_come.get();
    rows = coming;
  }
};

/// Grey levels in 8 bit or in [0, 1].
template <typename Number>
Number as_grey(std::uint8_t level) {
  if constexpr (std::is_same_v<Number, float>) {
    return static_cast<float>(level) / 255.0F;
  } else {
    return level;
  }
}

/// Writes the rows `rows` of one scan into a batch: where nothing is known, paper.
template <typename Number>
void convert(const Scan& scan, const Movement& movement, ShownSize size, comm::UnitRange rows, std::span<Number> grey,
             std::span<Number> known) {
  const std::int64_t width_px = size.width_px;
  const comm::UnitRange source = source_rows(rows, movement, size.height_px);
  ensure(covers(scan.rows, source), "the rows that a batch shows are here");
  std::ranges::fill(grey, as_grey<Number>(255));
  std::ranges::fill(known, Number{0});
  for (std::int64_t from_y = source.begin; from_y < source.end; ++from_y) {
    const std::int64_t y = from_y + movement.down_px - rows.begin;
    for (std::int64_t x = std::max<std::int64_t>(0, movement.right_px);
         x < std::min(width_px, width_px + movement.right_px); ++x) {
      const std::int64_t column = x - movement.right_px;
      const auto from = static_cast<std::size_t>((from_y - scan.rows.begin) * width_px +
                                                 (movement.is_mirrored ? width_px - 1 - column : column));
      if (scan.here.known[from] == 0) continue;
      const auto to = static_cast<std::size_t>(y * width_px + x);
      known[to] = Number{1};
      grey[to] = as_grey<Number>(scan.here.grey[from]);
    }
  }
}

}  // namespace

struct ScanImages::State {
  const wear::PreparedStore& scans;
  std::int64_t memory_bytes;
  comm::UnitRange rows;
  std::map<std::int64_t, Scan> kept;
  std::int64_t turn = 0;  // of the current batch
  std::int64_t bytes_read = 0;

  /// Sees to it that all rows of the batch of that turn are here or on their way.
  void want(std::span<const ShownScan> shown, std::int64_t for_turn) {
    std::map<std::int64_t, comm::UnitRange> wanted;
    for (const ShownScan& scan : shown) {
      ensure(scan.index >= 0 && scan.index < scans.size(), "the scan lies within the store");
      comm::UnitRange& of_scan = wanted[scan.index];
      of_scan = hull(of_scan, source_rows(rows, scan.movement, scans.height_px()));
    }
    for (const ShownScan& shown_scan : shown) {  // in the order of the batch
      Scan& scan = kept[shown_scan.index];
      scan.turn = std::max(scan.turn, for_turn);
      const comm::UnitRange needed = wanted.at(shown_scan.index);
      if (!covers(scan.rows, needed)) start_reading(shown_scan.index, scan, hull(scan.rows, needed));
    }
  }

  void start_reading(std::int64_t index, Scan& scan, comm::UnitRange all) {
    scan.rows = all;
    scan.here = {};
    scan.to_come = store::io_thread().submit([&from = scans, index, all] { return read_shown(from, index, all); });
    const ShownSize stored = scans.stored_size();
    bytes_read += 2 * covered_rows(all, stored.height_px, scans.height_px()).size() * stored.width_px;
  }

  /// The scans of the current batch into its memory, [N, 1, rows, width] each.
  template <typename Number>
  void fill(std::span<const ShownScan> shown, const at::Tensor& grey, const at::Tensor& known) {
    const auto pixels = static_cast<std::size_t>(rows.size() * scans.width_px());
    for (std::size_t i = 0; i < shown.size(); ++i) {
      Scan& scan = kept.at(shown[i].index);
      scan.arrive();
      const auto of_image = [&](const at::Tensor& batch) {
        return std::span(batch.data_ptr<Number>() + i * pixels, pixels);
      };
      convert<Number>(scan, shown[i].movement, scans.shown_size(), rows, of_image(grey), of_image(known));
    }
  }

  /// Lets the least recently used scans go, never those of this batch or the next.
  void make_room() {
    const auto bytes = [&](const auto& entry) { return 2 * entry.second.rows.size() * scans.width_px(); };
    std::int64_t held = 0;
    for (const auto& entry : kept) held += bytes(entry);
    while (held > memory_bytes) {
      const auto oldest = std::ranges::min_element(kept, {}, [](const auto& entry) { return entry.second.turn; });
      if (oldest->second.turn >= turn) return;
      held -= bytes(*oldest);
      kept.erase(oldest);
    }
  }
};

ScanImages::ScanImages(const wear::PreparedStore& scans, std::int64_t memory_bytes, comm::UnitRange rows)
    : state_(std::make_unique<State>(State{scans, std::max<std::int64_t>(0, memory_bytes), rows, {}})) {
  ensure(rows.size() >= 0, "rows from the first to the last");
}

ScanImages::ScanImages(const wear::PreparedStore& scans, std::int64_t memory_bytes)
    : ScanImages(scans, memory_bytes, {0, scans.height_px()}) {}

ScanImages::~ScanImages() = default;

ScanBatch ScanImages::batch(std::span<const ShownScan> shown) {
  State& state = *state_;
  state.want(shown, ++state.turn);
  state.make_room();
  const std::vector<std::int64_t> shape{std::ssize(shown), 1, state.rows.size(), state.scans.width_px()};
  const ScanBatch batch{at::empty(shape, at::kFloat), at::empty(shape, at::kFloat)};
  state.fill<float>(shown, batch.grey, batch.known);
  return batch;
}

ScanBatch ScanImages::batch(std::span<const ShownScan> shown, at::Device device) {
  return device.is_cpu() ? batch(shown) : on_device(byte_batch(shown, device), device);
}

ByteBatch ScanImages::byte_batch(std::span<const ShownScan> shown, at::Device device) {
  State& state = *state_;
  state.want(shown, ++state.turn);
  state.make_room();
  ByteBatch batch = new_byte_batch(std::ssize(shown), state.rows.size(), state.scans.width_px(), device);
  state.fill<std::uint8_t>(shown, batch.grey, batch.known);
  return batch;
}

void ScanImages::prefetch(std::span<const ShownScan> shown) {
  state_->want(shown, state_->turn + 1);
  state_->make_room();
}

std::int64_t ScanImages::bytes_read() const { return state_->bytes_read; }

std::vector<KnownPixels> sum_known_pixels(const wear::PreparedStore& scans, std::int64_t first, std::int64_t count) {
  std::vector<KnownPixels> sums;
  const std::int64_t step = piece_rows(scans);
  for (std::int64_t index = first; index < first + count; ++index) {
    KnownPixels& sum = sums.emplace_back();
    for (std::int64_t begin = 0; begin < scans.height_px(); begin += step) {
      const ShownRows rows = read_shown(scans, index, {begin, std::min(begin + step, scans.height_px())});
      for (std::size_t i = 0; i < rows.grey.size(); ++i) {
        if (rows.known[i] == 0) continue;
        const double grey = rows.grey[i] / 255.0;
        ++sum.count;
        sum.grey_sum += grey;
        sum.square_sum += grey * grey;
      }
    }
  }
  return sums;
}

}  // namespace outsole::wear
