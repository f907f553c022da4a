#include "match/gpu/mark_layout.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "core/checked.h"
#include "core/errors.h"
#include "core/parallel.h"

namespace outsole::match::gpu {

namespace {

constexpr std::int64_t kStageAlignment = 128;
constexpr std::int64_t kSharedOfBlock = 1024;  // that the driver takes of a block's shared memory

/// One view of the mark, wherever PreparedMark laid it.
struct SeenView {
  const GroupLayout& group;
  const ViewLayout& view;
  std::int64_t place;  // in the group
  std::int32_t angle;
};

std::vector<SeenView> views_of(const PreparedMark::Layout& mark) {
  std::vector<SeenView> views;
  for (std::size_t angle = 0; angle < mark.angles.size(); ++angle) {
    for (const GroupLayout& group : mark.angles[angle]) {
      for (std::size_t v = 0; v < group.views.size(); ++v) {
        views.push_back({group, group.views[v], static_cast<std::int64_t>(v), mark.angle_index[angle]});
      }
    }
  }
  return views;
}

/// A box of cells, in canvas cells, and which of a group's views have support in each: a bit a view.
struct SupportBox {
  std::int64_t origin_y, origin_x, rows, columns;
  std::vector<std::uint32_t> views;  // [columns][rows]

  std::uint32_t& at(std::int64_t column, std::int64_t row) {
    return views[static_cast<std::size_t>(column * rows + row)];
  }
};

SupportBox support_box(std::span<const SeenView> views) {
  constexpr std::int64_t kFar = std::numeric_limits<std::int64_t>::max();
  SupportBox box = {kFar, kFar, 0, 0, {}};
  std::int64_t end_y = 0, end_x = 0;
  const auto for_each_run = [&](auto&& visit) {
    for (std::size_t v = 0; v < views.size(); ++v) {
      const ViewLayout& view = views[v].view;
      for (std::size_t r = 0; r < view.run_column.size(); ++r) {
        visit(v, views[v].group.origin_x + view.run_column[r], views[v].group.origin_y + view.run_begin[r],
              views[v].group.origin_y + view.run_end[r]);
      }
    }
  };
  for_each_run([&](std::size_t, std::int64_t column, std::int64_t begin, std::int64_t end) {
    box.origin_x = std::min(box.origin_x, column);
    box.origin_y = std::min(box.origin_y, begin);
    end_x = std::max(end_x, column + 1);
    end_y = std::max(end_y, end);
  });
  box.rows = end_y - box.origin_y;
  box.columns = end_x - box.origin_x;
  box.views.resize(static_cast<std::size_t>(box.rows * box.columns));
  for_each_run([&](std::size_t v, std::int64_t column, std::int64_t begin, std::int64_t end) {
    for (std::int64_t y = begin; y < end; ++y) box.at(column - box.origin_x, y - box.origin_y) |= 1u << v;
  });
  return box;
}

/// Cells of a band, by column, then row: numbers of the box's [columns][rows].
struct BandCells {
  std::vector<std::int64_t> core, edge, half[2];  // as Band has them

  /// At most so many chunks will hold them, and so many of those have cells that are not in the core.
  std::int64_t chunks() const { return std::ssize(core) / kChunkCells + edges(); }
  std::int64_t edges() const {
    std::int64_t count = 2;  // what is left of the core
    for (const auto* cells : {&edge, &half[0], &half[1]}) count += divide_up(std::ssize(*cells), kChunkCells);
    return count;
  }
  void add_column(SupportBox& box, std::int64_t column, std::int64_t first_row, std::int64_t last_row,
                  std::uint32_t all_views) {
    constexpr std::uint32_t kFirstHalf = 0xff;
    for (std::int64_t row = first_row; row < last_row; ++row) {
      const std::uint32_t views = box.at(column, row);
      if (views == 0) continue;
      const std::int64_t cell = column * box.rows + row;
      if (views == all_views) {
        core.push_back(cell);
      } else if ((views & kFirstHalf) == 0 || (views & ~kFirstHalf) == 0) {
        half[(views & kFirstHalf) == 0 ? 1 : 0].push_back(cell);
      } else {
        edge.push_back(cell);
      }
    }
  }
};

/// How long a group's blocks of `warps` warps take for a channel, by its instructions, with the best shape of patch;
/// the group gets that shape.
double choose_patch(ViewGroup& group, const SupportBox& box, int warps) {
  // Instructions of a warp: of a chunk, of 16 bytes copied by it, of a channel.
  constexpr double kOfChunk = 60, kOfCopy = 8.0 / 32, kOfChannel = 800;
  const int shifts = warps * kWarpShifts;
  const double chunks = static_cast<double>(divide_up(box.rows * box.columns, kChunkCells));
  double least = std::numeric_limits<double>::infinity();
  for (int y = 1; y <= std::min(shifts, group.shifts_y); ++y) {
    const int x = std::min(shifts / y, group.shifts_x);
    const std::int64_t patches =
        divide_up(std::int64_t{group.shifts_y}, y) * divide_up(std::int64_t{group.shifts_x}, x);
    const std::int64_t cells = (box.rows + (y - 1) * group.step) * (box.columns + (x - 1) * group.step);
    // Warps without a shift of theirs wait for the others of their block.
    const double cost = static_cast<double>(patches) * (warps * (chunks * kOfChunk + kOfChannel) +
                                                        (2 * static_cast<double>(cells) + 32 * chunks) * kOfCopy);
    if (cost >= least) continue;
    least = cost;
    group.patch_y = y;
    group.patch_x = x;
  }
  return least;
}

/// Where x of a view and a cell of a chunk lies among the chunk's 256 halves (multiply_add of device.h).
std::size_t place_in_chunk(std::int64_t view, std::int64_t cell) {
  const std::int64_t lane = view % 8 * 4 + cell / 2 % 4;
  return static_cast<std::size_t>(lane * 8 + view / 8 * 4 + cell % 2 + cell / 8 * 2);
}

std::uint16_t half_of(double value) { return c10::Half(static_cast<float>(value)).x; }

/// A cell of a chunk that holds none.
constexpr std::int64_t kNoCell = -1;

/// Rows of a band with what its shifts add.
std::int64_t rows_with_shifts(const ViewGroup& group, std::int64_t rows) {
  return rows + (group.patch_y - 1) * group.step;
}

/// Shared memory that a band takes at most, beside the terms of its poses.
std::int64_t band_bytes(const ViewGroup& group, std::int64_t rows, std::int64_t columns, std::int64_t chunks,
                        std::int64_t edges) {
  return chunks * (kChunkBytes + kOffsetBytes) + edges * kChunkBytes +
         rows_with_shifts(group, rows) * (columns + (group.patch_x - 1) * group.step) * kCellBytes;
}

/// Shared memory for a stage, beside the terms of its poses: blocks of fewer warps share a multiprocessor.
std::int64_t most_stage_bytes(std::int64_t shared_bytes, int warps) {
  const std::int64_t of_block = shared_bytes * warps / kMostWarps - kSharedOfBlock - warps * kCountBytes;
  return of_block / kStages - kStageAlignment - warps * kTermsBytes;
}

/// Rows of a band: all of the box, or as many as leave room for some columns; 0: not even one does.
std::int64_t rows_of_bands(const ViewGroup& group, const SupportBox& box, std::int64_t most_bytes) {
  const std::int64_t columns = std::min<std::int64_t>(box.columns, 4);
  std::int64_t rows = box.rows;
  const auto bytes_of = [&](std::int64_t some_rows) {
    const std::int64_t chunks = divide_up(some_rows * columns, kChunkCells) + 4;
    return band_bytes(group, some_rows, columns, chunks, chunks);
  };
  while (rows > 0 && bytes_of(rows) > most_bytes) --rows;
  return rows;
}

/// Adds a band's chunks to a group; `first_row`, `first_column`: of the band.
void add_band(const BandCells& band, const SupportBox& box, std::int64_t first_row, std::int64_t first_column,
              std::int64_t rows, std::int64_t columns, std::int64_t views, GroupArrays& group,
              std::vector<std::int64_t>& cells) {
  constexpr std::size_t kPair = 2 * kChunkCells;
  const std::size_t whole = band.core.size() / kPair * kPair;
  const auto core_end = band.core.begin() + static_cast<std::ptrdiff_t>(whole);
  std::vector<std::int64_t> edge = band.edge;
  edge.insert(edge.end(), core_end, band.core.end());
  std::ranges::sort(edge);
  const auto chunks_of = [](std::size_t size) { return static_cast<int>(size / kChunkCells); };
  const std::int64_t all_rows = rows_with_shifts(group.sizes, rows);
  Band laid{};
  laid.column = narrow<int>(first_column);
  laid.columns = narrow<int>(columns);
  laid.row = narrow<int>(first_row);
  laid.rows = narrow<int>(all_rows);
  laid.first_chunk = group.sizes.chunks;
  laid.first_edge_chunk = chunks_of(group.support.size() / kGroupViews);
  const auto add_cell = [&](std::int64_t cell) {
    cells.push_back(cell);
    const std::int64_t column = cell == kNoCell ? first_column : cell / box.rows;
    const std::int64_t row = cell == kNoCell ? first_row : cell % box.rows;
    group.cells.push_back(static_cast<unsigned>(row | column << 16));
    group.cell_offsets.push_back(
        narrow<unsigned short>(((column - first_column) * all_rows + row - first_row) * (kCellBytes / 16)));
  };
  const auto add_with_support = [&](std::vector<std::int64_t> some) {
    while (some.size() % kChunkCells != 0) some.push_back(kNoCell);
    for (std::size_t k = 0; k < some.size(); ++k) {
      add_cell(some[k]);
      if (k % kChunkCells == 0) group.support.resize(group.support.size() + kChunkBytes / 2);
      if (some[k] == kNoCell) continue;
      const std::uint32_t has = box.views[static_cast<std::size_t>(some[k])];
      unsigned short* const chunk = group.support.data() + group.support.size() - kChunkBytes / 2;
      for (std::int64_t v = 0; v < views; ++v) {
        if (has >> v & 1) chunk[place_in_chunk(v, static_cast<std::int64_t>(k % kChunkCells))] = half_of(1);
      }
    }
    return chunks_of(some.size());
  };
  std::for_each(band.core.begin(), core_end, add_cell);
  laid.core_chunks = chunks_of(whole);
  laid.edge_chunks = add_with_support(std::move(edge));
  for (int half = 0; half < 2; ++half) laid.half_chunks[half] = add_with_support(band.half[half]);
  group.sizes.chunks += laid.core_chunks + laid.edge_chunks + laid.half_chunks[0] + laid.half_chunks[1];
  group.bands.push_back(laid);
}

/// Cuts a group's cells into bands and chunks. Returns the cells of all chunks.
std::vector<std::int64_t> lay_out_cells(SupportBox& box, std::int64_t views, std::int64_t most_bytes,
                                        GroupArrays& group, std::int64_t& stage_bytes) {
  const std::uint32_t all_views = (1u << views) - 1;
  const std::int64_t strip = rows_of_bands(group.sizes, box, most_bytes);
  std::vector<std::int64_t> cells;
  for (std::int64_t row = 0; row < box.rows; row += strip) {
    const std::int64_t rows = std::min(strip, box.rows - row);
    for (std::int64_t column = 0; column < box.columns;) {
      const std::int64_t first = column;
      BandCells band;
      for (; column < box.columns; ++column) {
        BandCells wider = band;
        wider.add_column(box, column, row, row + rows, all_views);
        if (column > first &&
            band_bytes(group.sizes, rows, column + 1 - first, wider.chunks(), wider.edges()) > most_bytes) {
          break;
        }
        band = std::move(wider);
      }
      if (band.core.empty() && band.edge.empty() && band.half[0].empty() && band.half[1].empty()) continue;
      stage_bytes = std::max(stage_bytes, band_bytes(group.sizes, rows, column - first, band.chunks(), band.edges()));
      add_band(band, box, row, first, rows, column - first, views, group, cells);
    }
  }
  group.sizes.band_count = narrow<int>(std::ssize(group.bands));
  return cells;
}

/// Where a cell of a view lies in PreparedMark's x of a channel, and in the kernel's.
struct CellPlace {
  std::size_t from, to;
};

std::vector<CellPlace> places_of(const SeenView& seen, std::size_t view, const SupportBox& box,
                                 const std::vector<std::int64_t>& cells) {
  const CellLayout cell_of{seen.group.rows, seen.group.stored_views, seen.group.paired};
  std::vector<CellPlace> places;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (cells[i] == kNoCell || (box.views[static_cast<std::size_t>(cells[i])] >> view & 1) == 0) continue;
    const std::int64_t column = cells[i] / box.rows + box.origin_x - seen.group.origin_x;
    const std::int64_t row = cells[i] % box.rows + box.origin_y - seen.group.origin_y;
    const std::size_t in_chunk =
        place_in_chunk(static_cast<std::int64_t>(view), static_cast<std::int64_t>(i % kChunkCells));
    places.push_back(
        {static_cast<std::size_t>(cell_of(column, row, seen.place)), i / kChunkCells * (kChunkBytes / 2) + in_chunk});
  }
  return places;
}

/// A power of two that brings the root mean square of some cells to about 1.
double gain_of(const float* x, const std::vector<CellPlace>& places) {
  double squares = 0;
  for (const CellPlace& place : places) squares += double{x[place.from]} * x[place.from];
  const double size = std::sqrt(squares / static_cast<double>(std::max<std::size_t>(places.size(), 1)));
  return size > 0 && std::isfinite(size) ? std::exp2(-std::round(std::log2(size))) : 1;
}

/// x of every channel, scaled for each view, and the terms of every cut.
void lay_out_x(std::span<const SeenView> views, const PreparedMark::Layout& mark, const SupportBox& box,
               const std::vector<std::int64_t>& cells, std::span<const float> y_gain, GroupArrays& group) {
  const auto channels = static_cast<std::size_t>(mark.channels), cuts = static_cast<std::size_t>(group.sizes.cuts);
  const std::size_t chunk_halves = static_cast<std::size_t>(group.sizes.chunks) * (kChunkBytes / 2);
  std::vector<std::vector<CellPlace>> places;
  for (std::size_t v = 0; v < views.size(); ++v) places.push_back(places_of(views[v], v, box, cells));
  group.x.assign(channels * chunk_halves, 0);
  group.terms.assign(channels * cuts, {0, 0});
  for_each_on_threads(channels, [&](std::size_t c) {
    unsigned short* const halves = group.x.data() + c * chunk_halves;
    Terms* terms = group.terms.data() + c * cuts + 1;
    for (std::size_t v = 0; v < views.size(); ++v) {
      const GroupLayout& laid = views[v].group;
      const float* const x =
          laid.x.data() + static_cast<std::int64_t>(c) * laid.columns * laid.rows * laid.stored_views;
      const double gain = gain_of(x, places[v]);
      for (const CellPlace& place : places[v]) halves[place.to] = half_of(x[place.from] * gain);
      const ViewLayout& view = views[v].view;
      const std::size_t first = c * static_cast<std::size_t>(view.cuts);
      for (std::size_t cut = first; cut < first + static_cast<std::size_t>(view.cuts); ++cut) {
        *terms++ = {static_cast<float>(view.x_mean[cut] * gain),
                    static_cast<float>(view.x_scale[cut] / gain / y_gain[c])};
      }
    }
  });
}

std::int32_t pixel_of(std::int64_t offset_px, std::int64_t shift, const ViewOffset& offset, const FrameCells& frame) {
  return narrow<std::int32_t>(offset_px + shift * offset.step_cells * frame.cell_px);
}

/// Where an entry lies in a sorted list.
template <typename T>
std::uint64_t place_of(const std::vector<T>& sorted, T value) {
  return static_cast<std::uint64_t>(std::ranges::lower_bound(sorted, value) - sorted.begin());
}

void lay_out_poses(std::span<const SeenView> views, const MarkArrays& mark, const FrameCells& frame,
                   GroupArrays& group) {
  const auto size =
      static_cast<std::size_t>(group.sizes.shifts_y) * static_cast<std::size_t>(group.sizes.shifts_x) * kGroupViews;
  group.inverse_count.assign(size, 0);
  group.cut.assign(size, 0);
  group.rank.assign(size, 0);
  int first_cut = 1;  // 0: of poses that do not exist
  for (std::size_t v = 0; v < views.size(); ++v) {
    const ViewLayout& view = views[v].view;
    for (std::int64_t j = 0; j < view.offset.shifts_x; ++j) {
      for (std::int64_t i = 0; i < view.offset.shifts_y; ++i) {
        const auto from = static_cast<std::size_t>(j * view.offset.shifts_y + i);
        const std::size_t to = static_cast<std::size_t>(j * group.sizes.shifts_y + i) * kGroupViews + v;
        group.inverse_count[to] = view.inverse_count[from];
        group.cut[to] = first_cut + view.cut[from];
        const std::uint64_t angle = place_of(mark.angles, views[v].angle);
        const std::uint64_t y = place_of(mark.ys_px, pixel_of(view.offset.offset_y_px, i, view.offset, frame));
        const std::uint64_t x = place_of(mark.xs_px, pixel_of(view.offset.offset_x_px, j, view.offset, frame));
        group.rank[to] = narrow<std::uint32_t>((angle * mark.ys_px.size() + y) * mark.xs_px.size() + x);
      }
    }
    first_cut += narrow<int>(view.cuts);
  }
  group.sizes.cuts = first_cut;
}

template <typename T>
void sort_and_keep_one(std::vector<T>& values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

/// A power of two that brings the deviation below which a window is flat to about 2^-17: far enough above the smallest
/// half, and a hundred thousand of it, which is an ordinary value, far enough below the largest.
float exemplars_gain(float flat_square) {
  if (!(flat_square > 0)) return 1;
  return static_cast<float>(std::exp2(-17 - std::round(std::log2(flat_square) / 2)));
}

/// Group after group of views.
std::span<const SeenView> views_of_group(const std::vector<SeenView>& views, std::size_t first) {
  return std::span(views).subspan(first, std::min<std::size_t>(kGroupViews, views.size() - first));
}

ViewGroup sizes_of(std::span<const SeenView> views, const SupportBox& box, const FrameCells& frame) {
  ViewGroup sizes{};
  sizes.origin_y = narrow<int>(box.origin_y - frame.border);
  sizes.origin_x = narrow<int>(box.origin_x - frame.border);
  sizes.step = narrow<int>(views.front().view.offset.step_cells);
  for (const SeenView& seen : views) {
    sizes.shifts_y = std::max(sizes.shifts_y, narrow<int>(seen.view.offset.shifts_y));
    sizes.shifts_x = std::max(sizes.shifts_x, narrow<int>(seen.view.offset.shifts_x));
  }
  return sizes;
}

/// The warps of a block with which the fewest wait, and the groups' patches for them. Throws UsageError when a patch
/// does not fit into a block's shared memory.
int choose_warps(std::vector<GroupArrays>& groups, const std::vector<SupportBox>& boxes, std::int64_t shared_bytes) {
  constexpr double kWorthFewer = 0.8;  // fewer warps see the same cells more often
  const auto cost_of = [&](int warps) {
    double cost = 0;
    for (std::size_t g = 0; g < groups.size(); ++g) {
      cost += choose_patch(groups[g].sizes, boxes[g], warps);
      const bool fits = rows_of_bands(groups[g].sizes, boxes[g], most_stage_bytes(shared_bytes, warps)) > 0;
      if (!fits) return std::numeric_limits<double>::infinity();
    }
    return cost;
  };
  int best = kMostWarps;
  double least = cost_of(best);
  if (std::isinf(least)) {
    throw UsageError("`kernel` gpu: the mark's shifts are too far apart for a GPU's shared memory; give a finer grid");
  }
  for (const int warps : {4, 2}) {
    if (const double cost = cost_of(warps); cost < kWorthFewer * least) {
      least = cost;
      best = warps;
    }
  }
  cost_of(best);
  return best;
}

}  // namespace

Pose MarkArrays::pose_of(std::uint32_t rank) const {
  const std::size_t x = rank % xs_px.size(), y = rank / xs_px.size() % ys_px.size();
  return {angles.at(rank / xs_px.size() / ys_px.size()), ys_px[y], xs_px[x]};
}

MarkArrays lay_out_mark(const PreparedMark::Layout& layout, std::int64_t shared_bytes) {
  MarkArrays mark;
  mark.channels = narrow<int>(layout.channels);
  mark.height = narrow<int>(layout.frame.height);
  mark.width = narrow<int>(layout.frame.width);
  mark.margin = narrow<int>(layout.margin);
  mark.normalizes = epilogue_of(layout.similarity) == Epilogue::kNcc;
  mark.centring = layout.similarity.centring == Centring::kMuC ? 1.0f : 0.0f;
  for (const float flat_square : layout.flat_square) {
    const float gain = exemplars_gain(flat_square);
    mark.gain.push_back(gain);
    mark.flat_square.push_back(flat_square * gain * gain);
  }
  const std::vector<SeenView> views = views_of(layout);
  for (const SeenView& seen : views) {
    const ViewOffset& offset = seen.view.offset;
    mark.angles.push_back(seen.angle);
    for (std::int64_t i = 0; i < offset.shifts_y; ++i) {
      mark.ys_px.push_back(pixel_of(offset.offset_y_px, i, offset, layout.frame));
    }
    for (std::int64_t j = 0; j < offset.shifts_x; ++j) {
      mark.xs_px.push_back(pixel_of(offset.offset_x_px, j, offset, layout.frame));
    }
  }
  sort_and_keep_one(mark.angles);
  sort_and_keep_one(mark.ys_px);
  sort_and_keep_one(mark.xs_px);
  std::vector<SupportBox> boxes;
  for (std::size_t first = 0; first < views.size(); first += kGroupViews) {
    boxes.push_back(support_box(views_of_group(views, first)));
    mark.groups.emplace_back().sizes = sizes_of(views_of_group(views, first), boxes.back(), layout.frame);
  }
  mark.warps = choose_warps(mark.groups, boxes, shared_bytes);
  for (std::size_t g = 0; g < mark.groups.size(); ++g) {
    const std::span<const SeenView> some = views_of_group(views, g * kGroupViews);
    GroupArrays& group = mark.groups[g];
    const std::vector<std::int64_t> cells =
        lay_out_cells(boxes[g], std::ssize(some), most_stage_bytes(shared_bytes, mark.warps), group, mark.stage_bytes);
    lay_out_poses(some, mark, layout.frame, group);
    // Where windows are normalized the gain of y cancels.
    lay_out_x(some, layout, boxes[g], cells, mark.normalizes ? std::vector<float>(mark.gain.size(), 1.0f) : mark.gain,
              group);
    for (int x = 0; x < group.sizes.shifts_x; x += group.sizes.patch_x) {
      for (int y = 0; y < group.sizes.shifts_y; y += group.sizes.patch_y) {
        mark.patches.push_back({narrow<int>(g), y, x});
      }
    }
  }
  mark.stage_bytes = divide_up(mark.stage_bytes + mark.warps * kTermsBytes, kStageAlignment) * kStageAlignment;
  return mark;
}

Found found_of(std::uint64_t key) {
  const auto ordered = static_cast<std::uint32_t>(key >> 32);
  return {std::bit_cast<float>(ordered >> 31 ? ordered & 0x7fffffffu : ~ordered),
          0xffffffffu - static_cast<std::uint32_t>(key)};
}

}  // namespace outsole::match::gpu
