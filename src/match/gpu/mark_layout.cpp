#include "match/gpu/mark_layout.h"

#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>

#include "core/checked.h"
#include "core/errors.h"
#include "core/parallel.h"

namespace outsole::match::gpu {

namespace {

constexpr std::int64_t kStageAlignment = 128;

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
  std::vector<std::int64_t> core, edge;

  std::int64_t chunks() const {
    const auto cores = std::ssize(core);
    return cores / kChunkCells + divide_up(cores % kChunkCells + std::ssize(edge), kChunkCells);
  }
  void add_column(SupportBox& box, std::int64_t column, std::int64_t first_row, std::int64_t last_row,
                  std::uint32_t all_views) {
    for (std::int64_t row = first_row; row < last_row; ++row) {
      const std::uint32_t views = box.at(column, row);
      if (views != 0) (views == all_views ? core : edge).push_back(column * box.rows + row);
    }
  }
};

/// The shape of a patch: the fewest patches, then the fewest cells that its shifts add to a band.
void choose_patch(ViewGroup& group, std::int64_t rows) {
  std::int64_t best_patches = std::numeric_limits<std::int64_t>::max(), best_cells = 0;
  for (int y = 1; y <= kPatchShifts; y *= 2) {
    const int x = kPatchShifts / y;
    const std::int64_t patches =
        divide_up(std::int64_t{group.shifts_y}, y) * divide_up(std::int64_t{group.shifts_x}, x);
    const std::int64_t cells = (rows + (y - 1) * group.step) * (8 + (x - 1) * group.step);
    if (patches > best_patches || (patches == best_patches && cells >= best_cells)) continue;
    best_patches = patches;
    best_cells = cells;
    group.patch_y = y;
    group.patch_x = x;
  }
}

/// Where x of a view and a cell of a chunk lies among the chunk's 256 halves (multiply_add of device.h).
std::size_t place_in_chunk(std::int64_t view, std::int64_t cell) {
  const std::int64_t lane = view % 8 * 4 + cell / 2 % 4;
  return static_cast<std::size_t>(lane * 8 + view / 8 * 4 + cell % 2 + cell / 8 * 2);
}

std::uint16_t half_of(double value) { return c10::Half(static_cast<float>(value)).x; }

/// A cell of a chunk that holds none.
constexpr std::int64_t kNoCell = -1;

/// Shared memory that a band takes.
std::int64_t band_bytes(const ViewGroup& group, std::int64_t rows, std::int64_t columns, std::int64_t chunks) {
  const std::int64_t with_shifts =
      (rows + (group.patch_y - 1) * group.step) * (columns + (group.patch_x - 1) * group.step);
  return chunks * kChunkBytes + with_shifts * kCellBytes;
}

/// Rows of a band: all of the box, or as many as leave room for some columns.
std::int64_t rows_of_bands(const ViewGroup& group, const SupportBox& box, std::int64_t most_bytes) {
  const std::int64_t columns = std::min<std::int64_t>(box.columns, 4);
  std::int64_t rows = box.rows;
  while (rows > 0 && band_bytes(group, rows, columns, divide_up(rows * columns, kChunkCells) + 1) > most_bytes) --rows;
  if (rows == 0) {
    throw UsageError("`kernel` gpu: the mark's shifts are too far apart for a GPU's shared memory; give a finer grid");
  }
  return rows;
}

/// Adds a band's chunks to a group; `first_row`, `first_column`: of the band.
void add_band(const BandCells& band, const SupportBox& box, std::int64_t first_row, std::int64_t first_column,
              std::int64_t rows, std::int64_t columns, std::int64_t views, GroupArrays& group,
              std::vector<std::int64_t>& cells) {
  const std::size_t whole = band.core.size() / kChunkCells * kChunkCells;
  const auto core_end = band.core.begin() + static_cast<std::ptrdiff_t>(whole);
  std::vector<std::int64_t> edge = band.edge;
  edge.insert(edge.end(), core_end, band.core.end());
  std::ranges::sort(edge);
  while (edge.size() % kChunkCells != 0) edge.push_back(kNoCell);
  const auto chunks_of = [](std::size_t size) { return static_cast<int>(size / kChunkCells); };
  const std::int64_t band_rows = rows + (group.sizes.patch_y - 1) * group.sizes.step;
  group.bands.push_back({narrow<int>(first_column), narrow<int>(columns), narrow<int>(first_row),
                         narrow<int>(band_rows), group.sizes.chunks, chunks_of(whole), chunks_of(edge.size()),
                         chunks_of(group.support.size() / kGroupViews)});
  group.sizes.chunks += chunks_of(whole + edge.size());
  const auto add_cell = [&](std::int64_t cell) {
    cells.push_back(cell);
    const std::int64_t column = cell == kNoCell ? first_column : cell / box.rows;
    const std::int64_t row = cell == kNoCell ? first_row : cell % box.rows;
    group.cells.push_back(static_cast<unsigned>(row | column << 16));
    group.cell_offsets.push_back(narrow<unsigned short>((column - first_column) * band_rows + row - first_row));
  };
  std::for_each(band.core.begin(), core_end, add_cell);
  std::ranges::for_each(edge, add_cell);
  for (std::size_t k = 0; k < edge.size(); ++k) {
    if (k % kChunkCells == 0) group.support.resize(group.support.size() + kChunkBytes / 2);
    if (edge[k] == kNoCell) continue;
    const std::uint32_t has = box.views[static_cast<std::size_t>(edge[k])];
    unsigned short* const chunk = group.support.data() + group.support.size() - kChunkBytes / 2;
    for (std::int64_t v = 0; v < views; ++v) {
      if (has >> v & 1) chunk[place_in_chunk(v, static_cast<std::int64_t>(k % kChunkCells))] = half_of(1);
    }
  }
}

/// Cuts a group's cells into bands and chunks. Returns the cells of all chunks.
std::vector<std::int64_t> lay_out_cells(SupportBox& box, std::int64_t views, std::int64_t most_stage_bytes,
                                        GroupArrays& group, std::int64_t& stage_bytes) {
  const std::uint32_t all_views = (1u << views) - 1;
  const std::int64_t strip = rows_of_bands(group.sizes, box, most_stage_bytes);
  std::vector<std::int64_t> cells;
  for (std::int64_t row = 0; row < box.rows; row += strip) {
    const std::int64_t rows = std::min(strip, box.rows - row);
    for (std::int64_t column = 0; column < box.columns;) {
      const std::int64_t first = column;
      BandCells band;
      for (; column < box.columns; ++column) {
        BandCells wider = band;
        wider.add_column(box, column, row, row + rows, all_views);
        if (column > first && band_bytes(group.sizes, rows, column + 1 - first, wider.chunks()) > most_stage_bytes) {
          break;
        }
        band = std::move(wider);
      }
      if (band.chunks() == 0) continue;  // no support there
      stage_bytes = std::max(stage_bytes, band_bytes(group.sizes, rows, column - first, band.chunks()));
      add_band(band, box, row, first, rows, column - first, views, group, cells);
    }
  }
  group.support.resize(group.support.size() + kChunkBytes / 2);  // what is asked for ahead
  group.sizes.band_count = narrow<int>(std::ssize(group.bands));
  return cells;
}

/// x of every channel, scaled by a power of two for each view, and the terms of every cut.
void lay_out_x(std::span<const SeenView> views, const PreparedMark::Layout& mark, const SupportBox& box,
               const std::vector<std::int64_t>& cells, std::span<const float> y_gain, GroupArrays& group) {
  const auto channels = static_cast<std::size_t>(mark.channels);
  const std::size_t chunk_halves = static_cast<std::size_t>(group.sizes.chunks) * (kChunkBytes / 2);
  group.x.assign(channels * chunk_halves, 0);
  group.terms.assign(channels * static_cast<std::size_t>(group.sizes.cuts), {0, 0});
  for_each_on_threads(channels, [&](std::size_t c) {
    int first_cut = 1;
    for (std::size_t v = 0; v < views.size(); ++v) {
      const SeenView& seen = views[v];
      const CellLayout cell_of{seen.group.rows, seen.group.stored_views, seen.group.paired};
      const float* const x = seen.group.x.data() + static_cast<std::int64_t>(c) * seen.group.columns * seen.group.rows *
                                                       seen.group.stored_views;
      const auto x_at = [&](std::int64_t cell) {
        const std::int64_t column = cell / box.rows + box.origin_x - seen.group.origin_x;
        const std::int64_t row = cell % box.rows + box.origin_y - seen.group.origin_y;
        return x[cell_of(column, row, seen.place)];
      };
      const auto has = [&](std::int64_t cell) {
        return cell != kNoCell && (box.views[static_cast<std::size_t>(cell)] >> v & 1) != 0;
      };
      double squares = 0, count = 0;
      for (const std::int64_t cell : cells) {
        if (!has(cell)) continue;
        squares += double{x_at(cell)} * x_at(cell);
        ++count;
      }
      const double size = std::sqrt(squares / std::max(count, 1.0));
      const double gain = size > 0 && std::isfinite(size) ? std::exp2(-std::round(std::log2(size))) : 1;
      unsigned short* const halves = group.x.data() + c * chunk_halves;
      for (std::size_t i = 0; i < cells.size(); ++i) {
        if (!has(cells[i])) continue;
        halves[i / kChunkCells * (kChunkBytes / 2) +
               place_in_chunk(static_cast<std::int64_t>(v), static_cast<std::int64_t>(i % kChunkCells))] =
            half_of(x_at(cells[i]) * gain);
      }
      for (std::int64_t cut = 0; cut < seen.view.cuts; ++cut) {
        const std::size_t index = c * static_cast<std::size_t>(seen.view.cuts) + static_cast<std::size_t>(cut);
        group.terms[c * static_cast<std::size_t>(group.sizes.cuts) + static_cast<std::size_t>(first_cut + cut)] = {
            static_cast<float>(seen.view.x_mean[index] * gain),
            static_cast<float>(seen.view.x_scale[index] / gain / y_gain[c])};
      }
      first_cut += narrow<int>(seen.view.cuts);
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

/// Brings what makes a window flat to half of kFlush times 4 or so: 2^-17, by a power of two.
float gain_of(float flat_square) {
  if (!(flat_square > 0)) return 1;
  return static_cast<float>(std::exp2(-17 - std::round(std::log2(flat_square) / 2)));
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
    const float gain = gain_of(flat_square);
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
  const std::int64_t most_stage_bytes = shared_bytes / kStages / kStageAlignment * kStageAlignment;
  for (std::size_t first = 0; first < views.size(); first += kGroupViews) {
    const auto some = std::span(views).subspan(first, std::min<std::size_t>(kGroupViews, views.size() - first));
    GroupArrays& group = mark.groups.emplace_back();
    SupportBox box = support_box(some);
    group.sizes.origin_y = narrow<int>(box.origin_y - layout.frame.border);
    group.sizes.origin_x = narrow<int>(box.origin_x - layout.frame.border);
    group.sizes.step = narrow<int>(some.front().view.offset.step_cells);
    for (const SeenView& seen : some) {
      group.sizes.shifts_y = std::max(group.sizes.shifts_y, narrow<int>(seen.view.offset.shifts_y));
      group.sizes.shifts_x = std::max(group.sizes.shifts_x, narrow<int>(seen.view.offset.shifts_x));
    }
    choose_patch(group.sizes, box.rows);
    const std::vector<std::int64_t> cells =
        lay_out_cells(box, std::ssize(some), most_stage_bytes, group, mark.stage_bytes);
    lay_out_poses(some, mark, layout.frame, group);
    // Where windows are normalized the gain of y cancels.
    lay_out_x(some, layout, box, cells, mark.normalizes ? std::vector<float>(mark.gain.size(), 1.0f) : mark.gain,
              group);
    for (int x = 0; x < group.sizes.shifts_x; x += group.sizes.patch_x) {
      for (int y = 0; y < group.sizes.shifts_y; y += group.sizes.patch_y) {
        mark.patches.push_back({narrow<int>(mark.groups.size()) - 1, y, x});
      }
    }
  }
  mark.stage_bytes = divide_up(mark.stage_bytes, kStageAlignment) * kStageAlignment;
  return mark;
}

Found found_of(std::uint64_t key) {
  const auto ordered = static_cast<std::uint32_t>(key >> 32);
  return {std::bit_cast<float>(ordered >> 31 ? ordered & 0x7fffffffu : ~ordered),
          0xffffffffu - static_cast<std::uint32_t>(key)};
}

}  // namespace outsole::match::gpu
