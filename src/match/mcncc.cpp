#include "match/mcncc.h"

#include <algorithm>
#include <array>
#include <exception>
#include <cmath>
#include <map>
#include <tuple>

#include <omp.h>

#include "core/checked.h"
#include "core/errors.h"
#include "match/channel_kernel.h"
#include "match/exemplar_block.h"

namespace outsole::match {

namespace {

const ChannelKernel& channel_kernel() {
  static const ChannelKernel& kernel = [&]() -> const ChannelKernel& {
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return kAvx512Kernel;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return kAvx2Kernel;
    return kGenericKernel;
  }();
  return kernel;
}

/// Exact support of one view as runs along columns of the group's box, and the statistics of x for every cut.
struct ViewLayout {
  std::vector<std::int32_t> run_column, run_begin, run_end;
  std::vector<float> inverse_count;  // [shifts_x][shifts_y]
  std::vector<std::int32_t> cut;     // [shifts_x][shifts_y]
  std::vector<float> x_mean, x_scale;  // [C][cuts]
  std::int64_t cuts = 0;
  ViewOffset offset;
};

/// Up to four views of one angle on a common box of cells.
struct GroupLayout {
  std::int64_t origin_y = 0, origin_x = 0;  // of the box, in canvas cells
  std::int64_t rows = 0, columns = 0, padding = 0, step = 1;
  std::int64_t stored_views = 1;  // 1, 2 or 4
  std::vector<std::int32_t> hull_begin, hull_end;  // [columns]
  std::vector<std::int32_t> single_runs;           // [columns][stored_views][2], or empty
  std::vector<float> x;                            // [C][columns][rows + 2 padding][stored_views]
  std::vector<bool> channel_is_flat;               // [C]: every view, every cut
  std::vector<ViewLayout> views;
};

/// The part of a view's rows or columns that one shift leaves on the frame.
struct Span {
  std::int64_t begin, end;
  auto operator<=>(const Span&) const = default;
};

}  // namespace

struct PreparedMark::Layout {
  FrameCells frame;
  std::int64_t margin = 0;  // stored cells at the frame's edge that are never support
  std::int64_t channels = 0;
  std::vector<float> flat_square;                 // [C]
  std::vector<std::vector<GroupLayout>> angles;   // groups by angle
  std::vector<std::int32_t> angle_index;          // of PoseGrid
  double useful_flops = 0;
};

namespace {

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
Span kept(std::int64_t origin, std::int64_t length, std::int64_t shift, const FrameCells& frame, std::int64_t frame_length,
          std::int64_t margin) {
  const std::int64_t map_index = origin - frame.border - shift;
  const std::int64_t begin = std::clamp<std::int64_t>(margin - map_index, 0, length);
  return {begin, std::clamp<std::int64_t>(frame_length - margin - map_index, begin, length)};
}

/// The different ways the frame cuts a view: what is left of its rows and columns. Ordered by columns, so that cuts of equal
/// columns share their row sums.
struct Cuts {
  std::vector<Span> rows, columns;
  std::vector<std::int64_t> cells;  // of the support that are left
};

/// Finds the cuts of a view, and gives each pose its cut and 1 / |P|.
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
  Cuts cuts;
  for (auto& [key, number] : numbers) {
    const auto& [columns, rows] = key;
    number = narrow<std::int32_t>(cuts.rows.size());
    cuts.columns.push_back(columns);
    cuts.rows.push_back(rows);
    cuts.cells.push_back(above[rows.end][columns.end] - above[rows.begin][columns.end] - above[rows.end][columns.begin] +
                         above[rows.begin][columns.begin]);
  }
  for (std::int64_t j = 0; j < offset.shifts_x; ++j) {
    for (std::int64_t i = 0; i < offset.shifts_y; ++i) {
      const std::int32_t cut = numbers.at({columns_at(j), rows_at(i)});
      const std::int64_t cells = cuts.cells[static_cast<std::size_t>(cut)];
      layout.cut.push_back(cut);
      layout.inverse_count.push_back(cells > 0 ? 1.0f / static_cast<float>(cells) : 0.0f);
    }
  }
  return cuts;
}

/// Fills x of one view and one channel, centred on its mean over the whole support, and that channel's statistics for every cut.
/// Returns true when x is flat under every cut.
bool lay_out_channel(const MarkView& view, const Cuts& cuts, std::int64_t channel, double weight, double flat_std,
                     std::int64_t stored_view, GroupLayout& group, ViewLayout& layout) {
  const std::int64_t height = view.support.size(0), width = view.support.size(1);
  const bool* support = view.support.data_ptr<bool>();
  const float* features = view.features.data_ptr<float>() + channel * height * width;
  double total = 0;
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < height * width; ++i) {
    total += support[i] ? features[i] : 0.0;
    count += support[i];
  }
  const double mean = total / static_cast<double>(std::max<std::int64_t>(count, 1));
  std::vector<float> centred(static_cast<std::size_t>(height * width));
  for (std::int64_t i = 0; i < height * width; ++i) {
    centred[static_cast<std::size_t>(i)] = support[i] ? static_cast<float>(features[i] - mean) : 0.0f;
  }
  const std::int64_t rows_padded = group.rows + 2 * group.padding;
  float* const stored = group.x.data() + ((channel * group.columns + view.origin_x - group.origin_x) * rows_padded +
                                          view.origin_y - group.origin_y + group.padding) * group.stored_views + stored_view;
  for (std::int64_t x = 0; x < width; ++x) {
    for (std::int64_t y = 0; y < height; ++y) {
      stored[(x * rows_padded + y) * group.stored_views] = centred[static_cast<std::size_t>(y * width + x)];
    }
  }

  bool flat = true;
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
    const double n = static_cast<double>(std::max<std::int64_t>(cuts.cells[c], 1));
    const double sum = between(sums), variance_sum = between(squares) - sum * sum / n;
    const bool is_flat = cuts.cells[c] == 0 || variance_sum <= n * flat_std * flat_std;
    flat = flat && is_flat;
    const std::size_t index = static_cast<std::size_t>(channel) * cuts.rows.size() + c;
    layout.x_mean[index] = static_cast<float>(sum / n);
    layout.x_scale[index] = is_flat ? 0.0f : static_cast<float>(weight / std::sqrt(variance_sum));
  }
  return flat;
}

/// Each column's run of every view, where no column has two; columns without support get an empty run inside the box.
std::vector<std::int32_t> single_runs(const GroupLayout& group) {
  std::vector<std::int32_t> runs(static_cast<std::size_t>(group.columns * group.stored_views * 2), 0);
  for (std::size_t v = 0; v < group.views.size(); ++v) {
    const ViewLayout& view = group.views[v];
    for (std::size_t r = 0; r < view.run_column.size(); ++r) {
      if (r > 0 && view.run_column[r] == view.run_column[r - 1]) return {};
      const auto index = static_cast<std::size_t>((view.run_column[r] * group.stored_views + static_cast<std::int64_t>(v)) * 2);
      runs[index] = view.run_begin[r];
      runs[index + 1] = view.run_end[r];
    }
  }
  return runs;
}

GroupLayout lay_out_group(std::span<const MarkView> views, const PreparedMark::Layout& mark, const ChannelModel& channels) {
  GroupLayout group;
  group.stored_views = views.size() > 2 ? 4 : static_cast<std::int64_t>(views.size());
  group.step = views.front().offset.step_cells;
  group.padding = (kMaxTileShifts - 1) * group.step;
  group.origin_y = group.origin_x = std::numeric_limits<std::int64_t>::max();
  std::int64_t end_y = 0, end_x = 0;
  for (const MarkView& view : views) {
    group.origin_y = std::min(group.origin_y, view.origin_y);
    group.origin_x = std::min(group.origin_x, view.origin_x);
    end_y = std::max(end_y, view.origin_y + view.support.size(0));
    end_x = std::max(end_x, view.origin_x + view.support.size(1));
  }
  group.rows = end_y - group.origin_y;
  group.columns = end_x - group.origin_x;
  group.x.assign(static_cast<std::size_t>(checked_product(
                     {mark.channels, group.columns, group.rows + 2 * group.padding, group.stored_views}, "prepared mark")), 0);
  group.channel_is_flat.assign(static_cast<std::size_t>(mark.channels), true);
  group.hull_begin.assign(static_cast<std::size_t>(group.columns), narrow<std::int32_t>(group.rows));
  group.hull_end.assign(static_cast<std::size_t>(group.columns), 0);

  std::vector<Cuts> cuts;
  for (const MarkView& view : views) {
    ViewLayout layout;
    layout.offset = view.offset;
    lay_out_runs(view, group, layout);
    for (std::size_t r = 0; r < layout.run_column.size(); ++r) {
      auto& begin = group.hull_begin[static_cast<std::size_t>(layout.run_column[r])];
      auto& end = group.hull_end[static_cast<std::size_t>(layout.run_column[r])];
      begin = std::min(begin, layout.run_begin[r]);
      end = std::max(end, layout.run_end[r]);
    }
    cuts.push_back(find_cuts(view, mark, layout));
    layout.cuts = static_cast<std::int64_t>(cuts.back().rows.size());
    layout.x_mean.resize(static_cast<std::size_t>(mark.channels * layout.cuts));
    layout.x_scale.resize(layout.x_mean.size());
    group.views.push_back(std::move(layout));
  }
  for (std::size_t column = 0; column < group.hull_begin.size(); ++column) {
    group.hull_begin[column] = std::min(group.hull_begin[column], group.hull_end[column]);
  }
  group.single_runs = single_runs(group);

  const auto weight = channels.weight.accessor<float, 1>();
  const auto flat_std = channels.flat_std.accessor<float, 1>();
  std::vector<char> flat(static_cast<std::size_t>(mark.channels));  // vector<bool> is not safe to write from many threads
#pragma omp parallel for schedule(static)
  for (std::int64_t channel = 0; channel < mark.channels; ++channel) {
    bool all_flat = true;
    for (std::size_t v = 0; v < views.size(); ++v) {
      all_flat &= lay_out_channel(views[v], cuts[v], channel, weight[channel], flat_std[channel],
                                  static_cast<std::int64_t>(v), group, group.views[v]);
    }
    flat[static_cast<std::size_t>(channel)] = all_flat;
  }
  group.channel_is_flat.assign(flat.begin(), flat.end());
  return group;
}

double useful_cells(const GroupLayout& group) {
  double cells = 0;
  for (const ViewLayout& view : group.views) {
    for (const float inverse_count : view.inverse_count) cells += inverse_count > 0 ? 1.0 / inverse_count : 0;
  }
  return cells;
}

struct AlignedBuffer {
  explicit AlignedBuffer(std::int64_t floats) : tensor(at::empty({floats}, at::kFloat)) {}  // 64-byte aligned
  float* data() { return tensor.data_ptr<float>(); }
  at::Tensor tensor;
};

ChannelWork describe_group(const PreparedMark::Layout& mark, const GroupLayout& group) {
  ChannelWork work{};
  work.map_height = narrow<std::int32_t>(mark.frame.height);
  work.map_width = narrow<std::int32_t>(mark.frame.width);
  work.row_begin = work.column_begin = narrow<std::int32_t>(mark.margin);
  work.row_end = work.map_height - work.row_begin;
  work.column_end = work.map_width - work.column_begin;
  work.views = narrow<std::int32_t>(group.stored_views);
  work.columns = narrow<std::int32_t>(group.columns);
  work.rows_padded = narrow<std::int32_t>(group.rows + 2 * group.padding);
  work.padding = narrow<std::int32_t>(group.padding);
  work.hull_begin = group.hull_begin.data();
  work.hull_end = group.hull_end.data();
  work.single_runs = group.single_runs.empty() ? nullptr : group.single_runs.data();
  work.rows = narrow<std::int32_t>(group.rows);
  work.origin_y = narrow<std::int32_t>(group.origin_y - mark.frame.border);
  work.origin_x = narrow<std::int32_t>(group.origin_x - mark.frame.border);
  work.step = narrow<std::int32_t>(group.step);
  for (std::size_t v = 0; v < group.views.size(); ++v) {
    const ViewLayout& view = group.views[v];
    ViewWindow& window = work.view[v];
    window.run_column = view.run_column.data();
    window.run_begin = view.run_begin.data();
    window.run_end = view.run_end.data();
    window.runs = narrow<std::int32_t>(view.run_column.size());
    window.shifts_y = narrow<std::int32_t>(view.offset.shifts_y);
    window.shifts_x = narrow<std::int32_t>(view.offset.shifts_x);
    window.inverse_count = view.inverse_count.data();
    window.cut = view.cut.data();
  }
  return work;
}

/// The scores of every pose of one view, [shifts_x][shifts_y][kLanes], merged into the best of each lane.
void reduce_scores(const ViewLayout& view, std::int32_t angle, std::int64_t cell_px, const float* scores, BestPose* best) {
  for (std::int64_t j = 0; j < view.offset.shifts_x; ++j) {
    for (std::int64_t i = 0; i < view.offset.shifts_y; ++i) {
      const std::int64_t index = j * view.offset.shifts_y + i;
      if (view.inverse_count[static_cast<std::size_t>(index)] == 0) continue;
      const Pose pose = {angle, narrow<std::int32_t>(view.offset.offset_y_px + i * view.offset.step_cells * cell_px),
                         narrow<std::int32_t>(view.offset.offset_x_px + j * view.offset.step_cells * cell_px)};
      for (std::int64_t lane = 0; lane < kLanes; ++lane) {
        const float score = scores[index * kLanes + lane];
        if (score >= best[lane].score) best[lane].merge({score, pose});
      }
    }
  }
}

/// Angles [first, last) of the mark against one block: all channels, all translations.
void search_angles(const PreparedMark::Layout& mark, std::size_t first, std::size_t last, const at::Tensor& block,
                   AlignedBuffer& prefix, BestPose* best) {
  const ChannelKernel& kernel = channel_kernel();
  struct Job {
    const GroupLayout& group;
    std::int32_t angle_index;
    ChannelWork work;
    std::vector<AlignedBuffer> scores;  // of each view
  };
  std::vector<Job> jobs;
  for (std::size_t angle = first; angle < last; ++angle) {
    for (const GroupLayout& group : mark.angles[angle]) {
      Job job = {group, mark.angle_index[angle], describe_group(mark, group), {}};
      for (std::size_t v = 0; v < group.views.size(); ++v) {
        const ViewOffset& offset = group.views[v].offset;
        job.scores.emplace_back(offset.shifts_y * offset.shifts_x * kLanes);
        job.scores.back().tensor.zero_();
        job.work.view[v].scores = job.scores.back().data();
      }
      jobs.push_back(std::move(job));
    }
  }
  const std::int64_t plane = mark.frame.width * mark.frame.height * kLanes;
  for (std::int64_t channel = 0; channel < mark.channels; ++channel) {
    const auto is_flat = [&](const Job& job) { return bool(job.group.channel_is_flat[static_cast<std::size_t>(channel)]); };
    if (std::all_of(jobs.begin(), jobs.end(), is_flat)) continue;
    const float* y = block.data_ptr<float>() + channel * plane;
    kernel.sum_prefixes(y, narrow<std::int32_t>(mark.frame.width), narrow<std::int32_t>(mark.frame.height), prefix.data());
    for (Job& job : jobs) {
      if (is_flat(job)) continue;
      const GroupLayout& group = job.group;
      job.work.y = y;
      job.work.prefix = prefix.data();
      job.work.x = group.x.data() + channel * group.columns * (group.rows + 2 * group.padding) * group.stored_views;
      job.work.flat_square = mark.flat_square[static_cast<std::size_t>(channel)];
      for (std::size_t v = 0; v < group.views.size(); ++v) {
        job.work.view[v].x_mean = group.views[v].x_mean.data() + channel * group.views[v].cuts;
        job.work.view[v].x_scale = group.views[v].x_scale.data() + channel * group.views[v].cuts;
      }
      kernel.correlate(job.work);
    }
  }
  for (Job& job : jobs) {
    for (std::size_t v = 0; v < job.group.views.size(); ++v) {
      reduce_scores(job.group.views[v], job.angle_index, mark.frame.cell_px, job.scores[v].data(), best);
    }
  }
}

/// Angles a task takes: as many as their scores fit into a second-level cache, but few enough that there are tasks for all
/// threads. Results do not depend on it.
std::int64_t angles_per_task(const PreparedMark::Layout& mark, std::int64_t blocks) {
  constexpr std::int64_t kScoreBytes = 1 << 20;
  constexpr std::int64_t kTasksPerThread = 4;
  const auto angles = static_cast<std::int64_t>(mark.angles.size());
  std::int64_t poses = 1;
  for (const auto& groups : mark.angles) {
    for (const GroupLayout& group : groups) {
      for (const ViewLayout& view : group.views) poses += static_cast<std::int64_t>(view.cut.size());
    }
  }
  const std::int64_t bytes_per_angle = divide_up(poses * kLanes * static_cast<std::int64_t>(sizeof(float)), angles);
  const std::int64_t by_cache = kScoreBytes / bytes_per_angle;
  const std::int64_t by_threads = angles * blocks / (kTasksPerThread * omp_get_max_threads());
  return std::clamp<std::int64_t>(std::min(by_cache, by_threads), 1, angles);
}

}  // namespace

void BestPose::merge(const BestPose& other) {
  if (other.score > score || (other.score == score && other.pose < pose)) *this = other;
}

ChannelModel plain_channel_model(const at::Tensor& square_mean) {
  const std::int64_t channels = square_mean.size(0);
  constexpr double kFlat = 1e-5;
  return {at::full({channels}, 1.0 / static_cast<double>(channels), at::kFloat),
          (square_mean.sqrt() * kFlat).to(at::kFloat).contiguous()};
}

PreparedMark::PreparedMark(std::vector<MarkView> views, const FrameCells& frame, std::int64_t erosion_radius,
                           ChannelModel channels)
    : layout_(std::make_unique<Layout>()) {
  ensure(erosion_radius >= frame.border, "the support must be eroded by at least the border that the index leaves out");
  layout_->frame = frame;
  layout_->margin = erosion_radius - frame.border;
  layout_->channels = channels.weight.size(0);
  for (std::int64_t c = 0; c < layout_->channels; ++c) {
    const float flat_std = channels.flat_std[c].item<float>();
    layout_->flat_square.push_back(flat_std * flat_std);
  }
  std::erase_if(views, [](const MarkView& view) { return view.support.numel() == 0; });
  std::stable_sort(views.begin(), views.end(), [](const MarkView& a, const MarkView& b) {
    return std::tuple(a.angle, -a.offset.shifts_x, -a.offset.shifts_y) < std::tuple(b.angle, -b.offset.shifts_x, -b.offset.shifts_y);
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

std::int64_t PreparedMark::memory_bytes() const {
  std::size_t floats = 0;
  for (const auto& groups : layout_->angles) {
    for (const GroupLayout& group : groups) {
      floats += group.x.size();
      for (const ViewLayout& view : group.views) floats += 2 * view.x_mean.size() + 2 * view.cut.size();
    }
  }
  return static_cast<std::int64_t>(floats * sizeof(float));
}

void search_blocks(const PreparedMark& mark, std::span<const at::Tensor> blocks, std::span<BestPose> best) {
  const PreparedMark::Layout& layout = mark.layout();
  ensure(best.size() == blocks.size() * kLanes, "one result per exemplar");
  for (const at::Tensor& block : blocks) {
    ensure(block.is_contiguous() && block.scalar_type() == at::kFloat &&
               block.sizes() == at::IntArrayRef({layout.channels, layout.frame.width, layout.frame.height, kLanes}),
           "a block's shape is not that of the prepared mark's frame");
    ensure(reinterpret_cast<std::uintptr_t>(block.data_ptr()) % 64 == 0, "a block is not aligned to a vector");
  }
  const auto angles = static_cast<std::int64_t>(layout.angles.size());
  if (angles == 0 || blocks.empty()) return;
  const std::int64_t task_angles = angles_per_task(layout, static_cast<std::int64_t>(blocks.size()));
  const std::int64_t tasks_per_block = divide_up(angles, task_angles);
  const std::int64_t tasks = static_cast<std::int64_t>(blocks.size()) * tasks_per_block;
  std::exception_ptr failure;
#pragma omp parallel
  {
    AlignedBuffer prefix(layout.frame.width * (layout.frame.height + 1) * 2 * kLanes);
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < tasks; ++task) {
      std::array<BestPose, kLanes> found;
      const auto block = static_cast<std::size_t>(task / tasks_per_block);
      const std::int64_t first = task % tasks_per_block * task_angles;
      try {
        search_angles(layout, static_cast<std::size_t>(first), static_cast<std::size_t>(std::min(first + task_angles, angles)),
                      blocks[block], prefix, found.data());
      } catch (...) {
#pragma omp critical(outsole_search_failure)
        failure = std::current_exception();
      }
#pragma omp critical(outsole_search_merge)
      for (std::size_t lane = 0; lane < kLanes; ++lane) best[block * kLanes + lane].merge(found[lane]);
    }
  }
  if (failure) std::rethrow_exception(failure);
}

const char* kernel_instructions() { return channel_kernel().name; }

}  // namespace outsole::match
