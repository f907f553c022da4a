#include "match/mcncc.h"

#include <algorithm>
#include <array>
#include <exception>
#include <cmath>
#include <map>

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

/// Sums of x and its square over the part of the support that a cut leaves, and the number of cells.
struct XSums {
  double sum = 0, square_sum = 0;
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
Span kept(std::int64_t origin, std::int64_t length, std::int64_t shift, const FrameCells& frame, std::int64_t frame_length,
          std::int64_t margin) {
  const std::int64_t map_index = origin - frame.border - shift;
  const std::int64_t begin = std::clamp<std::int64_t>(margin - map_index, 0, length);
  return {begin, std::clamp<std::int64_t>(frame_length - margin - map_index, begin, length)};
}

/// Numbers the different cuts of a view, and gives each pose its cut and 1 / |P|. Returns the cuts as (rows, columns).
std::vector<std::pair<Span, Span>> number_cuts(const MarkView& view, const PreparedMark::Layout& mark, ViewLayout& layout) {
  const auto support = view.support.accessor<bool, 2>();
  std::map<std::pair<Span, Span>, std::int32_t> numbers;
  std::vector<std::pair<Span, Span>> cuts;
  std::vector<float> inverse_counts;
  const ViewOffset& offset = view.offset;
  layout.cut.reserve(static_cast<std::size_t>(offset.shifts_x * offset.shifts_y));
  for (std::int64_t j = 0; j < offset.shifts_x; ++j) {
    const Span columns = kept(view.origin_x, support.size(1), j * offset.step_cells, mark.frame, mark.frame.width, mark.margin);
    for (std::int64_t i = 0; i < offset.shifts_y; ++i) {
      const Span rows = kept(view.origin_y, support.size(0), i * offset.step_cells, mark.frame, mark.frame.height, mark.margin);
      const auto [entry, is_new] = numbers.try_emplace({rows, columns}, narrow<std::int32_t>(cuts.size()));
      if (is_new) {
        std::int64_t count = 0;
        for (std::int64_t y = rows.begin; y < rows.end; ++y) {
          for (std::int64_t x = columns.begin; x < columns.end; ++x) count += support[y][x];
        }
        cuts.emplace_back(rows, columns);
        inverse_counts.push_back(count > 0 ? 1.0f / static_cast<float>(count) : 0.0f);
      }
      layout.cut.push_back(entry->second);
      layout.inverse_count.push_back(inverse_counts[static_cast<std::size_t>(entry->second)]);
    }
  }
  return cuts;
}

/// Fills x of one view and one channel, centred on its mean over the whole support, and that channel's statistics for every cut.
/// Returns true when x is flat under every cut.
bool lay_out_channel(const MarkView& view, const std::vector<std::pair<Span, Span>>& cuts, std::int64_t channel, double weight,
                     double flat_std, std::int64_t stored_view, GroupLayout& group, ViewLayout& layout) {
  const auto support = view.support.accessor<bool, 2>();
  const at::Tensor plane = view.features[channel];
  const auto features = plane.accessor<float, 2>();
  const std::int64_t rows_padded = group.rows + 2 * group.padding;
  double sum = 0;
  std::int64_t count = 0;
  for (std::int64_t y = 0; y < support.size(0); ++y) {
    for (std::int64_t x = 0; x < support.size(1); ++x) {
      if (!support[y][x]) continue;
      sum += features[y][x];
      ++count;
    }
  }
  const double mean = count > 0 ? sum / static_cast<double>(count) : 0;
  float* const stored = group.x.data() + channel * group.columns * rows_padded * group.stored_views + stored_view;
  for (std::int64_t y = 0; y < support.size(0); ++y) {
    for (std::int64_t x = 0; x < support.size(1); ++x) {
      if (!support[y][x]) continue;
      const std::int64_t column = view.origin_x - group.origin_x + x;
      const std::int64_t row = view.origin_y - group.origin_y + y + group.padding;
      stored[(column * rows_padded + row) * group.stored_views] = static_cast<float>(features[y][x] - mean);
    }
  }
  bool flat = true;
  for (std::size_t c = 0; c < cuts.size(); ++c) {
    const auto& [rows, columns] = cuts[c];
    XSums sums;
    std::int64_t cells = 0;
    for (std::int64_t y = rows.begin; y < rows.end; ++y) {
      for (std::int64_t x = columns.begin; x < columns.end; ++x) {
        if (!support[y][x]) continue;
        const double value = features[y][x] - mean;
        sums.sum += value;
        sums.square_sum += value * value;
        ++cells;
      }
    }
    const double n = static_cast<double>(std::max<std::int64_t>(cells, 1));
    const double variance_sum = sums.square_sum - sums.sum * sums.sum / n;
    const bool is_flat = cells == 0 || variance_sum <= n * flat_std * flat_std;
    flat = flat && is_flat;
    const std::size_t index = static_cast<std::size_t>(channel) * cuts.size() + c;
    layout.x_mean[index] = static_cast<float>(sums.sum / n);
    layout.x_scale[index] = is_flat ? 0.0f : static_cast<float>(weight / std::sqrt(variance_sum));
  }
  return flat;
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

  std::vector<std::vector<std::pair<Span, Span>>> cuts;
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
    cuts.push_back(number_cuts(view, mark, layout));
    layout.cuts = static_cast<std::int64_t>(cuts.back().size());
    layout.x_mean.resize(static_cast<std::size_t>(mark.channels * layout.cuts));
    layout.x_scale.resize(layout.x_mean.size());
    group.views.push_back(std::move(layout));
  }
  for (std::size_t column = 0; column < group.hull_begin.size(); ++column) {
    group.hull_begin[column] = std::min(group.hull_begin[column], group.hull_end[column]);
  }

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

/// One angle of the mark against one block: all channels, all translations.
void search_angle(const PreparedMark::Layout& mark, std::size_t angle, const at::Tensor& block, AlignedBuffer& prefix,
                  BestPose* best) {
  const ChannelKernel& kernel = channel_kernel();
  const std::vector<GroupLayout>& groups = mark.angles[angle];
  std::vector<ChannelWork> work;
  std::vector<AlignedBuffer> scores;
  for (const GroupLayout& group : groups) {
    work.push_back(describe_group(mark, group));
    for (std::size_t v = 0; v < group.views.size(); ++v) {
      const ViewOffset& offset = group.views[v].offset;
      scores.emplace_back(offset.shifts_y * offset.shifts_x * kLanes);
      scores.back().tensor.zero_();
      work.back().view[v].scores = scores.back().data();
    }
  }
  const std::int64_t plane = mark.frame.width * mark.frame.height * kLanes;
  for (std::int64_t channel = 0; channel < mark.channels; ++channel) {
    const auto is_flat = [&](const GroupLayout& group) { return bool(group.channel_is_flat[static_cast<std::size_t>(channel)]); };
    if (std::all_of(groups.begin(), groups.end(), is_flat)) continue;
    const float* y = block.data_ptr<float>() + channel * plane;
    kernel.sum_prefixes(y, narrow<std::int32_t>(mark.frame.width), narrow<std::int32_t>(mark.frame.height), prefix.data());
    for (std::size_t g = 0; g < groups.size(); ++g) {
      const GroupLayout& group = groups[g];
      if (is_flat(group)) continue;
      work[g].y = y;
      work[g].prefix = prefix.data();
      work[g].x = group.x.data() + channel * group.columns * (group.rows + 2 * group.padding) * group.stored_views;
      work[g].flat_square = mark.flat_square[static_cast<std::size_t>(channel)];
      for (std::size_t v = 0; v < group.views.size(); ++v) {
        work[g].view[v].x_mean = group.views[v].x_mean.data() + channel * group.views[v].cuts;
        work[g].view[v].x_scale = group.views[v].x_scale.data() + channel * group.views[v].cuts;
      }
      kernel.correlate(work[g]);
    }
  }
  std::size_t next = 0;
  for (const GroupLayout& group : groups) {
    for (const ViewLayout& view : group.views) {
      reduce_scores(view, mark.angle_index[angle], mark.frame.cell_px, scores[next++].data(), best);
    }
  }
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
  }
  const auto angles = static_cast<std::int64_t>(layout.angles.size());
  const std::int64_t tasks = static_cast<std::int64_t>(blocks.size()) * angles;
  std::exception_ptr failure;
#pragma omp parallel
  {
    AlignedBuffer prefix(layout.frame.width * (layout.frame.height + 1) * 2 * kLanes);
#pragma omp for schedule(dynamic)
    for (std::int64_t task = 0; task < tasks; ++task) {
      std::array<BestPose, kLanes> found;
      const auto block = static_cast<std::size_t>(task / angles);
      try {
        search_angle(layout, static_cast<std::size_t>(task % angles), blocks[block], prefix, found.data());
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
