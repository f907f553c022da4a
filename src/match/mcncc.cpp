#include "match/mcncc.h"

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "core/checked.h"
#include "core/errors.h"
#include "core/parallel.h"
#include "match/channel_kernel.h"
#include "match/lanes.h"
#include "match/prepared_mark.h"

namespace outsole::match {

namespace {

MapGeometry map_geometry(const PreparedMark::Layout& mark) {
  MapGeometry map{};
  map.height = narrow<std::int32_t>(mark.frame.height);
  map.width = narrow<std::int32_t>(mark.frame.width);
  map.row_begin = map.column_begin = narrow<std::int32_t>(mark.margin);
  map.row_end = map.height - map.row_begin;
  map.column_end = map.width - map.column_begin;
  std::int64_t step = 1;
  for (const auto& groups : mark.angles) {
    for (const GroupLayout& group : groups) step = std::max(step, group.step);
  }
  map.padding = plane_padding(narrow<std::int32_t>(step));
  return map;
}

/// Zeros, 64-byte aligned.
struct AlignedBuffer {
  explicit AlignedBuffer(std::int64_t floats) : tensor(at::zeros({floats}, at::kFloat)) {}
  float* data() { return tensor.data_ptr<float>(); }
  at::Tensor tensor;
};

/// What a thread keeps between tasks. Planes that no group needs are empty.
struct Scratch {
  AlignedBuffer plane, pair_planes, prefix, pair_terms;
};

Scratch make_scratch(const PreparedMark::Layout& mark, const ChannelKernel& kernel) {
  const MapGeometry map = map_geometry(mark);
  bool any_single = false, any_paired = false;
  std::int64_t pair_cells = 0;
  for (const auto& groups : mark.angles) {
    for (const GroupLayout& group : groups) {
      (group.paired ? any_paired : any_single) = true;
      if (group.paired) pair_cells = std::max(pair_cells, group.columns * group.rows * group.stored_views);
    }
  }
  return {AlignedBuffer(any_single ? map.plane_cells() * kernel.lanes : 0),
          AlignedBuffer(any_paired ? 9 * map.pair_plane_cells() * kernel.lanes : 0),
          AlignedBuffer(map.prefix_cells() * kernel.lanes), AlignedBuffer(pair_cells / 4 * 9)};
}

ChannelWork describe_group(const PreparedMark::Layout& mark, const GroupLayout& group) {
  ChannelWork work{};
  work.map = map_geometry(mark);
  work.views = narrow<std::int32_t>(group.stored_views);
  work.columns = narrow<std::int32_t>(group.columns);
  work.rows = narrow<std::int32_t>(group.rows);
  work.paired = group.paired;
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
    window.row_begin = std::ranges::min(view.run_begin);
    window.row_end = std::ranges::max(view.run_end);
    window.column_begin = view.run_column.front();
    window.column_end = view.run_column.back() + 1;
    window.shifts_y = narrow<std::int32_t>(view.offset.shifts_y);
    window.shifts_x = narrow<std::int32_t>(view.offset.shifts_x);
    window.inverse_count = view.inverse_count.data();
    window.cut = view.cut.data();
  }
  return work;
}

/// A slice of a block: the exemplars that one vector holds.
struct Slice {
  const float* y;  // of the block [C][map_width][map_height][kLanes], from the slice's first exemplar on
  BestPose* best;  // of the slice's exemplars
};

/// Makes the scores of every pose of one view from what was pooled over the channels:
/// [planes][shifts_x][shifts_y][lanes] of products, energies and sums of y. They take the products' place.
void score_pooled(const ViewLayout& view, const PreparedMark::Layout& mark, float* products, std::int64_t lanes) {
  const std::int64_t poses = view.offset.shifts_x * view.offset.shifts_y;
  const float *energies = products + poses * lanes, *sums = energies + poses * lanes;
  for (std::int64_t pose = 0; pose < poses; ++pose) {
    const double inverse_count = view.inverse_count[static_cast<std::size_t>(pose)];
    if (inverse_count == 0) continue;
    const double rest = view.x_rest[static_cast<std::size_t>(view.cut[static_cast<std::size_t>(pose)])];
    const double y_scale = inverse_count / static_cast<double>(mark.channels);
    for (std::int64_t i = pose * lanes; i < (pose + 1) * lanes; ++i) {
      double product = products[i], energy = energies[i];
      if (mark.similarity.is_distance) product = 2 * product - energy * y_scale - rest;
      if (mark.similarity.centring == Centring::kMu) {
        const double mean = sums[i] * inverse_count / static_cast<double>(mark.channels);
        product -= mean * rest;
        energy -= mean * sums[i];
      }
      if (mark.similarity.scaling == Scaling::kSigma) {
        product = energy * inverse_count > mark.flat_energy ? product / std::sqrt(energy) : 0;
      }
      products[i] = static_cast<float>(product);
    }
  }
}

/// The scores of every pose of one view, [shifts_x][shifts_y][lanes], merged into the best of each lane.
void reduce_scores(const ViewLayout& view, std::int32_t angle, std::int64_t cell_px, const float* scores,
                   std::int64_t lanes, BestPose* best) {
  for (std::int64_t j = 0; j < view.offset.shifts_x; ++j) {
    for (std::int64_t i = 0; i < view.offset.shifts_y; ++i) {
      const std::int64_t index = j * view.offset.shifts_y + i;
      if (view.inverse_count[static_cast<std::size_t>(index)] == 0) continue;
      const Pose pose = {angle, narrow<std::int32_t>(view.offset.offset_y_px + i * view.offset.step_cells * cell_px),
                         narrow<std::int32_t>(view.offset.offset_x_px + j * view.offset.step_cells * cell_px)};
      for (std::int64_t lane = 0; lane < lanes; ++lane) {
        const float score = scores[index * lanes + lane];
        if (score >= best[lane].score) best[lane].merge({score, pose});
      }
    }
  }
}

/// Marks the exemplars of a slice whose maps are not finite (or so large that their squares are not): the sums of
/// squares at the ends of the columns have passed over every cell.
void note_not_finite(const MapGeometry& map, const float* prefix, std::int64_t lanes, char* not_finite) {
  const std::int64_t row = 2 * lanes, column = (map.height + 1) * row;
  for (std::int64_t x = 0; x < map.width; ++x) {
    const float* squares = prefix + x * column + map.height * row + lanes;
    for (std::int64_t lane = 0; lane < lanes; ++lane) not_finite[lane] |= !std::isfinite(squares[lane]);
  }
}

/// Angles [first, last) of the mark against some slices: all channels, all translations. What a channel needs of the
/// mark is fetched once for all slices, what it needs of a slice once for all angles.
void search_angles(const PreparedMark::Layout& mark, std::size_t first, std::size_t last, std::span<const Slice> slices,
                   const ChannelKernel& kernel, Scratch& scratch) {
  const Epilogue epilogue = epilogue_of(mark.similarity);
  struct Job {
    const GroupLayout& group;
    std::int32_t angle_index;
    ChannelWork work;
    std::vector<AlignedBuffer> scores;  // of each view, [slices][planes][shifts_x][shifts_y][lanes]
  };
  const auto scores_of = [&](const ViewLayout& view) {
    return planes_of(epilogue) * view.offset.shifts_y * view.offset.shifts_x * kernel.lanes;
  };
  const MapGeometry map = map_geometry(mark);
  bool any_single = false, any_paired = false;
  std::vector<Job> jobs;
  for (std::size_t angle = first; angle < last; ++angle) {
    for (const GroupLayout& group : mark.angles[angle]) {
      (group.paired ? any_paired : any_single) = true;
      Job job = {group, mark.angle_index[angle], describe_group(mark, group), {}};
      for (const ViewLayout& view : group.views) job.scores.emplace_back(std::ssize(slices) * scores_of(view));
      job.work.plane = scratch.plane.data();
      job.work.pair_planes = scratch.pair_planes.data();
      job.work.prefix = scratch.prefix.data();
      job.work.pair_terms = scratch.pair_terms.data();
      job.work.energy_centring = mark.similarity.centring == Centring::kMuC ? 1 : 0;
      for (std::size_t v = 0; v < group.views.size(); ++v) {
        const ViewOffset& offset = group.views[v].offset;
        job.work.view[v].plane_floats = offset.shifts_y * offset.shifts_x * kernel.lanes;
      }
      jobs.push_back(std::move(job));
    }
  }
  const std::int64_t plane = mark.frame.width * mark.frame.height * kLanes;
  std::vector<char> not_finite(slices.size() * static_cast<std::size_t>(kernel.lanes));
  for (std::int64_t channel = 0; channel < mark.channels; ++channel) {
    const auto is_flat = [&](const Job& job) {
      return bool(job.group.channel_is_flat[static_cast<std::size_t>(channel)]);
    };
    const bool counts = !std::all_of(jobs.begin(), jobs.end(), is_flat);
    for (std::size_t slice = 0; slice < slices.size(); ++slice) {
      const float* y = slices[slice].y + channel * plane;
      kernel.prepare(map, y, counts && any_single ? scratch.plane.data() : nullptr,
                     counts && any_paired ? scratch.pair_planes.data() : nullptr, scratch.prefix.data());
      note_not_finite(map, scratch.prefix.data(), kernel.lanes,
                      not_finite.data() + static_cast<std::int64_t>(slice) * kernel.lanes);
      if (!counts) continue;
      const float* next =
          slice + 1 < slices.size() ? slices[slice + 1].y + channel * plane : slices[0].y + (channel + 1) * plane;
      const bool is_last = slice + 1 == slices.size() && channel + 1 == mark.channels;
      Ahead ahead = {next, is_last ? next : next + plane};
      for (Job& job : jobs) {
        if (is_flat(job)) continue;
        const GroupLayout& group = job.group;
        job.work.y = y;
        job.work.ahead = &ahead;
        job.work.x = group.x.data() + channel * group.columns * group.rows * group.stored_views;
        job.work.flat_square = mark.flat_square[static_cast<std::size_t>(channel)];
        for (std::size_t v = 0; v < group.views.size(); ++v) {
          ViewWindow& view = job.work.view[v];
          view.x_mean = group.views[v].x_mean.data() + channel * group.views[v].cuts;
          view.x_scale = group.views[v].x_scale.data() + channel * group.views[v].cuts;
          view.scores = job.scores[v].data() + static_cast<std::int64_t>(slice) * scores_of(group.views[v]);
        }
        kernel.correlate[static_cast<int>(epilogue)](job.work);
      }
    }
  }
  for (Job& job : jobs) {
    for (std::size_t v = 0; v < job.group.views.size(); ++v) {
      const ViewLayout& view = job.group.views[v];
      for (std::size_t slice = 0; slice < slices.size(); ++slice) {
        float* scores = job.scores[v].data() + static_cast<std::int64_t>(slice) * scores_of(view);
        if (epilogue == Epilogue::kPooled) score_pooled(view, mark, scores, kernel.lanes);
        reduce_scores(view, job.angle_index, mark.frame.cell_px, scores, kernel.lanes, slices[slice].best);
      }
    }
  }
  for (std::size_t i = 0; i < not_finite.size(); ++i) {
    const std::size_t lanes = static_cast<std::size_t>(kernel.lanes);
    if (not_finite[i]) slices[i / lanes].best[i % lanes] = {std::numeric_limits<float>::quiet_NaN(), {}};
  }
}

/// Scores of a task: what fits into a second-level cache.
constexpr std::int64_t kScoreBytes = 256 << 10;

/// How a search is cut into tasks: as many angles, then as many slices at a time, as their scores fit into kScoreBytes,
/// but few enough that there are tasks for all threads. Results do not depend on it.
struct TaskSize {
  std::int64_t angles, slices;
};

TaskSize task_size(const PreparedMark::Layout& mark, std::int64_t slices, std::int64_t lanes) {
  const std::int64_t planes = planes_of(epilogue_of(mark.similarity));
  constexpr std::int64_t kMostSlices = 8;
  const std::int64_t tasks_wanted = omp_get_max_threads() == 1 ? 1 : 8 * omp_get_max_threads();
  const auto angles = static_cast<std::int64_t>(mark.angles.size());
  std::int64_t poses = 1;
  for (const auto& groups : mark.angles) {
    for (const GroupLayout& group : groups) {
      for (const ViewLayout& view : group.views) poses += static_cast<std::int64_t>(view.cut.size());
    }
  }
  const std::int64_t bytes_per_angle =
      divide_up(poses * planes * lanes * static_cast<std::int64_t>(sizeof(float)), angles);
  TaskSize size;
  size.angles =
      std::clamp<std::int64_t>(std::min(kScoreBytes / bytes_per_angle, angles * slices / tasks_wanted), 1, angles);
  const std::int64_t tasks_per_slice = divide_up(angles, size.angles);
  size.slices = std::clamp<std::int64_t>(
      std::min(kScoreBytes / (size.angles * bytes_per_angle), tasks_per_slice * slices / tasks_wanted), 1, kMostSlices);
  return size;
}

}  // namespace

void BestPose::merge(const BestPose& other) {
  if (std::isnan(score)) return;
  if (std::isnan(other.score) || other.score > score || (other.score == score && other.pose < pose)) *this = other;
}

ChannelModel plain_channel_model(const at::Tensor& square_mean) {
  const std::int64_t channels = square_mean.size(0);
  constexpr double kFlat = 1e-5;
  return {at::full({channels}, 1.0 / static_cast<double>(channels), at::kFloat),
          (square_mean.sqrt() * kFlat).to(at::kFloat).contiguous(),
          {},
          {},
          {}};
}

at::Tensor subtracted_from_maps(const Similarity& similarity, const ChannelModel& channels) {
  if (similarity.centring == Centring::kMuBarC) {
    ensure(channels.mean.defined(), "the channels' means over the data set are known");
    return channels.mean.to(at::kFloat);
  }
  const bool sees_constants = similarity.centring != Centring::kMuC && !similarity.is_distance;
  return sees_constants && channels.white.defined() ? -channels.white : at::Tensor();
}

Similarity window_similarity(Similarity similarity) {
  if (similarity.centring == Centring::kMuBarC) similarity.centring = Centring::kNone;
  if (similarity.scaling == Scaling::kSigmaBarC) similarity.scaling = Scaling::kNone;
  return similarity;
}

WindowTerms window_terms(const Similarity& similarity, const ChannelModel& channels) {
  WindowTerms terms = {channels, window_similarity(similarity)};
  if (similarity.is_distance && !channels.weight.eq(channels.weight[0]).all().item<bool>()) {
    throw UsageError("`similarity` euclidean: weighs all channels alike; it cannot be had with learned weights");
  }
  if (const at::Tensor more = subtracted_from_maps(similarity, channels); more.defined()) {
    terms.channels.white = channels.white.defined() ? channels.white + more : more;
  }
  if (similarity.scaling == Scaling::kSigmaBarC) {
    ensure(channels.deviation.defined(), "the channels' deviations over the data set are known");
    const at::Tensor scaled = channels.weight.to(at::kDouble) / channels.deviation.square();
    const at::Tensor live = channels.deviation > channels.flat_std;
    terms.channels.weight = at::where(live, scaled, at::zeros_like(scaled)).to(at::kFloat);
  }
  return terms;
}

void search_blocks(const PreparedMark& mark, const ChannelKernel& kernel, std::span<const at::Tensor> blocks,
                   std::span<BestPose> best) {
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
  const std::int64_t lanes = kernel.lanes;
  const std::int64_t slices = std::ssize(blocks) * (kLanes / lanes);
  const TaskSize size = task_size(layout, slices, lanes);
  const std::int64_t angle_tasks = divide_up(angles, size.angles), tasks = divide_up(slices, size.slices) * angle_tasks;
  std::vector<std::optional<Scratch>> scratch_of_thread(static_cast<std::size_t>(omp_get_max_threads()));
  for_each_on_threads(static_cast<std::size_t>(tasks), [&](std::size_t turn) {
    const auto task = static_cast<std::int64_t>(turn);
    const std::int64_t first = task % angle_tasks * size.angles;
    const std::int64_t first_slice = task / angle_tasks * size.slices;
    const std::int64_t last_slice = std::min(first_slice + size.slices, slices);
    std::vector<BestPose> found(static_cast<std::size_t>((last_slice - first_slice) * lanes));
    std::vector<Slice> task_slices;
    for (std::int64_t slice = first_slice; slice < last_slice; ++slice) {
      const std::int64_t lane = slice * lanes;
      const at::Tensor& block = blocks[static_cast<std::size_t>(lane / kLanes)];
      task_slices.push_back({block.data_ptr<float>() + lane % kLanes, found.data() + lane - first_slice * lanes});
    }
    std::optional<Scratch>& scratch = scratch_of_thread[static_cast<std::size_t>(omp_get_thread_num())];
    if (!scratch) scratch.emplace(make_scratch(layout, kernel));
    search_angles(layout, static_cast<std::size_t>(first),
                  static_cast<std::size_t>(std::min(first + size.angles, angles)), task_slices, kernel, *scratch);
#pragma omp critical(outsole_search_merge)
    for (std::size_t lane = 0; lane < found.size(); ++lane) {
      best[static_cast<std::size_t>(first_slice * lanes) + lane].merge(found[lane]);
    }
  });
}

std::int64_t search_working_bytes(const ChannelKernel& kernel, const FrameCells& frame, std::int64_t stride_px,
                                  Similarity similarity) {
  const std::int64_t step = std::max<std::int64_t>(1, stride_px / frame.cell_px);
  const std::int64_t lanes = kernel.lanes, planes = planes_of(epilogue_of(similarity));
  MapGeometry map{};
  map.height = narrow<std::int32_t>(frame.height);
  map.width = narrow<std::int32_t>(frame.width);
  map.padding = plane_padding(narrow<std::int32_t>(step));
  std::int64_t floats = (map.plane_cells() + map.prefix_cells()) * lanes;
  if (step == 1) {  // shifts may share products
    // A turned mark is no longer along an axis than the frame's diagonal, and lies on a canvas below twice the frame.
    const std::int64_t height = frame.height + 2 * frame.border, width = frame.width + 2 * frame.border;
    const auto diagonal = static_cast<std::int64_t>(std::hypot(height, width)) + 3;
    const std::int64_t box = std::min(2 * height, diagonal) * std::min(2 * width, diagonal);
    floats += 9 * map.pair_plane_cells() * lanes + box * kMaxGroupViews / 4 * 9;
  }
  // A task has the scores of at least one angle: of a small mark they may outgrow the cache.
  const auto shifts = [&](std::int64_t cells) { return (cells + 2 * frame.border) * frame.cell_px / stride_px + 1; };
  const std::int64_t score_bytes =
      shifts(frame.height) * shifts(frame.width) * planes * lanes * static_cast<std::int64_t>(sizeof(float));
  return std::max(kScoreBytes, score_bytes) + floats * static_cast<std::int64_t>(sizeof(float));
}

}  // namespace outsole::match
