#include "match/prepared_mark.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <map>
#include <span>
#include <tuple>

#include "core/checked.h"
#include "core/errors.h"
#include "core/parallel.h"
#include "match/channel_kernel.h"

namespace outsole::match {

namespace {

/// The part of a view's rows or columns that one shift leaves on the frame.
struct Span {
  std::int64_t begin, end;
  auto operator<=>(const Span&) const = default;
};

void lay_out_runs(const MarkView& view, const GroupLayout& group, ViewLayout& layout) {
  const auto support = view.support.accessor<bool, 2>();
  for (std::int64_t x = 0; x < support.size(1); ++x) {
    for (std::int64_t y = 0; y < support.size(0);) {
      if (!support[y][x]) {
        ++y;
        continue;
      }
      const std::int64_t begin = y;
      while (y < support.size(0) && support[y][x]) ++y;
      layout.run_column.push_back(narrow<std::int32_t>(view.origin_x - group.origin_x + x));
      layout.run_begin.push_back(narrow<std::int32_t>(view.origin_y - group.origin_y + begin));
      layout.run_end.push_back(narrow<std::int32_t>(view.origin_y - group.origin_y + y));
    }
  }
}

/// What a shift leaves of the view's box along one axis.
Span kept(std::int64_t origin, std::int64_t length, std::int64_t shift, const FrameCells& frame,
          std::int64_t frame_length, std::int64_t margin) {
  const std::int64_t map_index = origin - frame.border - shift;
  const std::int64_t begin = std::clamp<std::int64_t>(margin - map_index, 0, length);
  return {begin, std::clamp<std::int64_t>(frame_length - margin - map_index, begin, length)};
}

/// The different ways the frame cuts a view: what is left of its rows and columns. Ordered by columns, so that cuts of
/// equal columns share their row sums.
struct Cuts {
  std::vector<Span> rows, columns;
  std::vector<std::int64_t> cells;  // of the support that are left
};

/// Finds the cuts of a view, and gives each pose its cut and 1 / |P|; 0 to shifts that are no poses.
Cuts find_cuts(const MarkView& view, const PreparedMark::Layout& mark, ViewLayout& layout) {
  const ViewOffset& offset = view.offset;
  const auto rows_at = [&](std::int64_t i) {
    return kept(view.origin_y, view.support.size(0), i * offset.step_cells, mark.frame, mark.frame.height, mark.margin);
  };
  const auto columns_at = [&](std::int64_t j) {
    return kept(view.origin_x, view.support.size(1), j * offset.step_cells, mark.frame, mark.frame.width, mark.margin);
  };
  std::map<std::pair<Span, Span>, std::int32_t> numbers;  // by (columns, rows)
  for (std::int64_t j = 0; j < offset.shifts_x; ++j) {
    for (std::int64_t i = 0; i < offset.shifts_y; ++i) numbers.try_emplace({columns_at(j), rows_at(i)}, 0);
  }
  // Cells of the support above and left of a corner.
  const at::Tensor corner = at::constant_pad_nd(view.support.to(at::kLong).cumsum(0).cumsum(1), {1, 0, 1, 0});
  const auto above = corner.accessor<std::int64_t, 2>();
  const at::Tensor poses =
      view.is_pose.defined() ? view.is_pose : at::ones({offset.shifts_y, offset.shifts_x}, at::kBool);
  const auto is_pose = poses.accessor<bool, 2>();
  Cuts cuts;
  for (auto& [key, number] : numbers) {
    const auto& [columns, rows] = key;
    number = narrow<std::int32_t>(cuts.rows.size());
    cuts.columns.push_back(columns);
    cuts.rows.push_back(rows);
    cuts.cells.push_back(above[rows.end][columns.end] - above[rows.begin][columns.end] -
                         above[rows.end][columns.begin] + above[rows.begin][columns.begin]);
  }
  for (std::int64_t j = 0; j < offset.shifts_x; ++j) {
    for (std::int64_t i = 0; i < offset.shifts_y; ++i) {
      const std::int32_t cut = numbers.at({columns_at(j), rows_at(i)});
      const std::int64_t cells = is_pose[i][j] ? cuts.cells[static_cast<std::size_t>(cut)] : 0;
      layout.cut.push_back(cut);
      layout.inverse_count.push_back(cells > 0 ? 1.0f / static_cast<float>(cells) : 0.0f);
    }
  }
  return cuts;
}

/// The sum over the support of one channel of a view, and its cells.
struct SupportSum {
  double sum = 0;
  std::int64_t cells = 0;
};

SupportSum sum_over_support(const MarkView& view, std::int64_t channel) {
  const bool* support = view.support.data_ptr<bool>();
  const std::int64_t size = view.support.numel();
  const float* features = view.features.data_ptr<float>() + channel * size;
  SupportSum total;
  for (std::int64_t i = 0; i < size; ++i) {
    total.sum += support[i] ? features[i] : 0.0;
    total.cells += support[i];
  }
  return total;
}

/// What is subtracted from x of each channel of a view, over its whole support: [C].
std::vector<double> centres_of(const MarkView& view, const Similarity& similarity, const ChannelModel& channels) {
  const std::int64_t count = channels.weight.size(0);
  std::vector<double> centres(static_cast<std::size_t>(count));
  for_each_on_threads(centres.size(), [&](std::size_t c) {
    const SupportSum total = sum_over_support(view, static_cast<std::int64_t>(c));
    centres[c] = total.sum / static_cast<double>(std::max<std::int64_t>(total.cells, 1));
  });
  if (similarity.centring == Centring::kMuC) return centres;
  // Less as much as the exemplars' maps are.
  const at::Tensor white = channels.white.defined() ? channels.white.to(at::kDouble) : at::zeros({count}, at::kDouble);
  double mean = 0;
  if (similarity.centring == Centring::kMu) {
    for (std::int64_t c = 0; c < count; ++c) {
      mean += (centres[static_cast<std::size_t>(c)] - white.data_ptr<double>()[c]) / static_cast<double>(count);
    }
  }
  for (std::int64_t c = 0; c < count; ++c) centres[static_cast<std::size_t>(c)] = white.data_ptr<double>()[c] + mean;
  return centres;
}

/// Sums over P of the stored x and its square, for every channel and cut: [C][cuts].
struct CutSums {
  std::vector<double> sum, square;
};

/// Fills x of one view and one channel, less `centre`, and that channel's sums for every cut.
void lay_out_channel(const MarkView& view, const Cuts& cuts, std::int64_t channel, double centre,
                     std::int64_t stored_view, GroupLayout& group, CutSums& cut_sums) {
  const std::int64_t height = view.support.size(0), width = view.support.size(1);
  const bool* support = view.support.data_ptr<bool>();
  const float* features = view.features.data_ptr<float>() + channel * height * width;
  std::vector<float> centred(static_cast<std::size_t>(height * width));
  for (std::int64_t i = 0; i < height * width; ++i) {
    centred[static_cast<std::size_t>(i)] = support[i] ? static_cast<float>(features[i] - centre) : 0.0f;
  }
  const CellLayout cell{group.rows, group.stored_views, group.paired};
  float* const stored = group.x.data() + channel * group.columns * group.rows * group.stored_views;
  for (std::int64_t x = 0; x < width; ++x) {
    for (std::int64_t y = 0; y < height; ++y) {
      stored[cell(view.origin_x - group.origin_x + x, view.origin_y - group.origin_y + y, stored_view)] =
          centred[static_cast<std::size_t>(y * width + x)];
    }
  }

  std::vector<double> sums(static_cast<std::size_t>(height + 1)), squares(static_cast<std::size_t>(height + 1));
  for (std::size_t c = 0; c < cuts.rows.size(); ++c) {
    const Span rows = cuts.rows[c], columns = cuts.columns[c];
    if (c == 0 || columns != cuts.columns[c - 1]) {  // sums over the rows above, of these columns
      for (std::int64_t y = 0; y < height; ++y) {
        double sum = 0, square = 0;
        for (std::int64_t x = columns.begin; x < columns.end; ++x) {
          const double value = centred[static_cast<std::size_t>(y * width + x)];
          sum += value;
          square += value * value;
        }
        sums[static_cast<std::size_t>(y + 1)] = sums[static_cast<std::size_t>(y)] + sum;
        squares[static_cast<std::size_t>(y + 1)] = squares[static_cast<std::size_t>(y)] + square;
      }
    }
    const auto between = [&](const std::vector<double>& prefix) {
      return prefix[static_cast<std::size_t>(rows.end)] - prefix[static_cast<std::size_t>(rows.begin)];
    };
    const std::size_t index = static_cast<std::size_t>(channel) * cuts.rows.size() + c;
    cut_sums.sum[index] = between(sums);
    cut_sums.square[index] = between(squares);
  }
}

/// Mean and scale of x for every cut, each channel by itself. Returns for each channel whether it is flat under every
/// cut.
std::vector<bool> scale_by_channel(const Cuts& cuts, const CutSums& sums, bool is_centred, const ChannelModel& channels,
                                   ViewLayout& layout) {
  const auto weight = channels.weight.accessor<float, 1>(), flat_std = channels.flat_std.accessor<float, 1>();
  std::vector<bool> flat(static_cast<std::size_t>(channels.weight.size(0)), true);
  for (std::size_t channel = 0; channel < flat.size(); ++channel) {
    for (std::size_t c = 0; c < cuts.cells.size(); ++c) {
      const std::size_t index = channel * cuts.cells.size() + c;
      const double n = static_cast<double>(std::max<std::int64_t>(cuts.cells[c], 1));
      const double sum = is_centred ? sums.sum[index] : 0, variance_sum = sums.square[index] - sum * sum / n;
      const double least = flat_std[static_cast<std::int64_t>(channel)];
      const bool is_flat = cuts.cells[c] == 0 || variance_sum <= n * least * least;
      flat[channel] = flat[channel] && is_flat;
      layout.x_mean[index] = static_cast<float>(sum / n);
      layout.x_scale[index] =
          is_flat ? 0.0f
                  : static_cast<float>(double{weight[static_cast<std::int64_t>(channel)]} / std::sqrt(variance_sum));
    }
  }
  return flat;
}

/// The same where nothing is scaled, or all channels alike.
void scale_all_channels_alike(const Cuts& cuts, const CutSums& sums, const PreparedMark::Layout& mark,
                              const ChannelModel& channels, ViewLayout& layout) {
  const std::size_t count = static_cast<std::size_t>(mark.channels), cut_count = cuts.cells.size();
  const auto channel_count = static_cast<double>(count);
  layout.x_rest.assign(cut_count, 0);
  for (std::size_t c = 0; c < cut_count; ++c) {
    const double n = static_cast<double>(std::max<std::int64_t>(cuts.cells[c], 1));
    double total = 0;
    for (std::size_t channel = 0; channel < count; ++channel) total += sums.sum[channel * cut_count + c];
    const auto mean_of = [&](std::size_t channel) {
      if (mark.similarity.centring == Centring::kNone) return 0.0;
      if (mark.similarity.centring == Centring::kMu) return total / (n * channel_count);
      return sums.sum[channel * cut_count + c] / n;
    };
    double energy = 0;
    for (std::size_t channel = 0; channel < count; ++channel) {
      const std::size_t index = channel * cut_count + c;
      const double mean = mean_of(channel);
      energy += sums.square[index] - 2 * mean * sums.sum[index] + n * mean * mean;
    }
    double scale = 1 / n;
    if (mark.similarity.scaling == Scaling::kSigma) {
      scale = energy <= n * mark.flat_energy ? 0 : channel_count / std::sqrt(energy);
    }
    for (std::size_t channel = 0; channel < count; ++channel) {
      const std::size_t index = channel * cut_count + c;
      const double mean = mean_of(channel), weighed = scale * channels.weight.data_ptr<float>()[channel];
      layout.x_mean[index] = static_cast<float>(mean);
      layout.x_scale[index] = cuts.cells[c] == 0 ? 0.0f : static_cast<float>(weighed);
      layout.x_rest[c] += weighed * (sums.sum[index] - n * mean);
    }
    if (mark.similarity.is_distance) layout.x_rest[c] = energy / (n * channel_count);
  }
}

/// The rows [begin, end) of every column that hold support of any view; for pairs, the pairs of rows: of both columns
/// together, of the second, of the first.
void lay_out_hulls(GroupLayout& group) {
  const std::int64_t pair = group.paired ? 2 : 1, columns = group.columns / pair;
  const auto size = static_cast<std::size_t>(columns * (group.paired ? 3 : 1));
  group.hull_begin.assign(size, std::numeric_limits<std::int32_t>::max());
  group.hull_end.assign(size, 0);
  const auto extend = [&](std::int64_t index, std::int64_t begin, std::int64_t end) {
    auto& hull_begin = group.hull_begin[static_cast<std::size_t>(index)];
    auto& hull_end = group.hull_end[static_cast<std::size_t>(index)];
    hull_begin = std::min(hull_begin, narrow<std::int32_t>(begin / pair));
    hull_end = std::max(hull_end, narrow<std::int32_t>(divide_up(end, pair)));
  };
  for (const ViewLayout& view : group.views) {
    for (std::size_t r = 0; r < view.run_column.size(); ++r) {
      const std::int64_t column = view.run_column[r];
      extend(column / pair, view.run_begin[r], view.run_end[r]);
      if (group.paired) extend((column % 2 == 0 ? 2 : 1) * columns + column / 2, view.run_begin[r], view.run_end[r]);
    }
  }
}

/// Whether sharing products between neighbouring shifts saves any: it does nine of sixteen, but where only one shift of
/// a pair exists does the other for nothing.
bool pairs_pay(std::span<const MarkView> views) {
  if (views.front().offset.step_cells != 1) return false;
  std::int64_t single = 0, paired = 0;  // products along y and x of a view of the kernel's tiles
  for (std::int64_t shift_x = 0; shift_x < views.front().offset.shifts_x; ++shift_x) {
    std::uint64_t active = 0;
    std::int64_t shifts_y = 0;
    for (const MarkView& view : views) {
      if (view.offset.shifts_x <= shift_x) continue;
      ++active;
      shifts_y = std::max(shifts_y, view.offset.shifts_y);
    }
    const auto tile_views = static_cast<std::int64_t>(std::bit_ceil(active));
    single += tile_views * shifts_y;
    if (shift_x % 2 == 0) paired += tile_views * 4 * divide_up(shifts_y, 2);
  }
  return paired * 9 < single * 16 * 9 / 10;
}

GroupLayout lay_out_group(std::span<const MarkView> views, const PreparedMark::Layout& mark,
                          const ChannelModel& channels) {
  GroupLayout group;
  group.stored_views = views.size() > 2 ? 4 : static_cast<std::int64_t>(views.size());
  group.step = views.front().offset.step_cells;
  group.origin_y = group.origin_x = std::numeric_limits<std::int64_t>::max();
  std::int64_t end_y = 0, end_x = 0;
  for (const MarkView& view : views) {
    group.origin_y = std::min(group.origin_y, view.origin_y);
    group.origin_x = std::min(group.origin_x, view.origin_x);
    end_y = std::max(end_y, view.origin_y + view.support.size(0));
    end_x = std::max(end_x, view.origin_x + view.support.size(1));
  }
  group.paired = pairs_pay(views);
  const std::int64_t even = group.paired ? 2 : 1;
  if (group.paired) {  // pairs of cells of the box lie on pairs of cells of the stored map
    group.origin_y -= (group.origin_y - mark.frame.border) & 1;
    group.origin_x -= (group.origin_x - mark.frame.border) & 1;
  }
  group.rows = divide_up(end_y - group.origin_y, even) * even;
  group.columns = divide_up(end_x - group.origin_x, even) * even;
  group.x.assign(static_cast<std::size_t>(
                     checked_product({mark.channels, group.columns, group.rows, group.stored_views}, "prepared mark")),
                 0);

  group.channel_is_flat.assign(static_cast<std::size_t>(mark.channels), epilogue_of(mark.similarity) == Epilogue::kNcc);
  for (std::size_t v = 0; v < views.size(); ++v) {
    ViewLayout& layout = group.views.emplace_back();
    layout.offset = views[v].offset;
    lay_out_runs(views[v], group, layout);
    const Cuts cuts = find_cuts(views[v], mark, layout);
    layout.cuts = static_cast<std::int64_t>(cuts.rows.size());
    layout.x_mean.resize(static_cast<std::size_t>(mark.channels * layout.cuts));
    layout.x_scale.resize(layout.x_mean.size());
    const std::vector<double> centres = centres_of(views[v], mark.similarity, channels);
    CutSums sums = {std::vector<double>(layout.x_mean.size()), std::vector<double>(layout.x_mean.size())};
    for_each_on_threads(centres.size(), [&](std::size_t channel) {
      lay_out_channel(views[v], cuts, static_cast<std::int64_t>(channel), centres[channel],
                      static_cast<std::int64_t>(v), group, sums);
    });
    if (epilogue_of(mark.similarity) != Epilogue::kNcc) {
      scale_all_channels_alike(cuts, sums, mark, channels, layout);
      continue;
    }
    const bool is_centred = mark.similarity.centring == Centring::kMuC;
    const std::vector<bool> flat = scale_by_channel(cuts, sums, is_centred, channels, layout);
    for (std::size_t c = 0; c < flat.size(); ++c) group.channel_is_flat[c] = group.channel_is_flat[c] && flat[c];
  }
  lay_out_hulls(group);
  return group;
}

double useful_cells(const GroupLayout& group) {
  double cells = 0;
  for (const ViewLayout& view : group.views) {
    for (const float inverse_count : view.inverse_count)
      cells += inverse_count > 0 ? std::round(1.0 / inverse_count) : 0;
  }
  return cells;
}

}  // namespace

PreparedMark::PreparedMark(std::vector<MarkView> views, const FrameCells& frame, std::int64_t erosion_radius,
                           ChannelModel channels, Similarity similarity)
    : layout_(std::make_unique<Layout>()) {
  ensure(erosion_radius >= frame.border, "the support must be eroded by at least the border that the index leaves out");
  ensure(!needs_statistics(similarity), "kernels know statistics of windows only");
  layout_->frame = frame;
  layout_->similarity = similarity;
  layout_->margin = erosion_radius - frame.border;
  layout_->channels = channels.weight.size(0);
  for (std::int64_t c = 0; c < layout_->channels; ++c) {
    const float flat_std = channels.flat_std[c].item<float>();
    layout_->flat_square.push_back(flat_std * flat_std);
    layout_->flat_energy += double{flat_std} * flat_std;
  }
  std::erase_if(views, [](const MarkView& view) { return !view.support.any().item<bool>(); });
  std::stable_sort(views.begin(), views.end(), [](const MarkView& a, const MarkView& b) {
    return std::tuple(a.angle, -a.offset.shifts_x, a.offset.offset_x_px, -a.offset.shifts_y) <
           std::tuple(b.angle, -b.offset.shifts_x, b.offset.offset_x_px, -b.offset.shifts_y);
  });
  for (std::size_t begin = 0; begin < views.size();) {
    std::size_t end = begin;
    while (end < views.size() && views[end].angle == views[begin].angle) ++end;
    std::vector<GroupLayout> groups;
    for (std::size_t first = begin; first < end; first += kMaxGroupViews) {
      const std::size_t count = std::min<std::size_t>(kMaxGroupViews, end - first);
      groups.push_back(lay_out_group(std::span(views).subspan(first, count), *layout_, channels));
      layout_->useful_flops += 2.0 * static_cast<double>(layout_->channels) * useful_cells(groups.back());
    }
    layout_->angles.push_back(std::move(groups));
    layout_->angle_index.push_back(narrow<std::int32_t>(views[begin].angle));
    begin = end;
  }
}

PreparedMark::~PreparedMark() = default;
PreparedMark::PreparedMark(PreparedMark&&) noexcept = default;
PreparedMark& PreparedMark::operator=(PreparedMark&&) noexcept = default;

double PreparedMark::useful_flops_per_exemplar() const { return layout_->useful_flops; }

}  // namespace outsole::match
