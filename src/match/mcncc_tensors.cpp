#include "match/mcncc_tensors.h"

#include <algorithm>
#include <limits>

#include "core/checked.h"
#include "core/errors.h"
#include "match/lanes.h"

namespace outsole::match {

namespace {

constexpr std::int64_t kMostTileShifts = 8;
constexpr std::int64_t kNoPose = std::numeric_limits<std::int64_t>::max();

/// A pose as one number, in the order of poses.
std::int64_t encode(const Pose& pose) {
  return (std::int64_t{pose.angle} << 42) | (std::int64_t{pose.y_px} << 21) | pose.x_px;
}

Pose decode(std::int64_t code) {
  constexpr std::int64_t kMask = (1 << 21) - 1;
  return {static_cast<std::int32_t>(code >> 42), static_cast<std::int32_t>(code >> 21 & kMask),
          static_cast<std::int32_t>(code & kMask)};
}

// --- The mark -------------------------------------------------------------------------------------------------------

/// What each shift along one axis leaves of a box on the frame: [begin, end) for shift 0, 1, ...
struct KeptSpans {
  at::Tensor begin, end;  // [shifts] int64
};

KeptSpans kept_spans(std::int64_t origin, std::int64_t length, std::int64_t shifts, std::int64_t step,
                     std::int64_t frame_length, std::int64_t margin, at::Device device) {
  const at::Tensor first = origin - at::arange(shifts, at::kLong) * step;  // map cell under the box's first one
  const at::Tensor begin = (margin - first).clamp(0, length);
  return {begin.to(device), at::maximum(begin, (frame_length - margin - first).clamp(0, length)).to(device)};
}

/// Sums of `cells` [..., h, w] over the rectangles that the shifts keep, [..., shifts_y, shifts_x].
at::Tensor sums_kept(const at::Tensor& cells, const KeptSpans& rows, const KeptSpans& columns) {
  const at::Tensor corner = at::constant_pad_nd(cells.cumsum(-2).cumsum(-1), {1, 0, 1, 0});
  const auto between = [](const at::Tensor& sums, std::int64_t axis, const KeptSpans& spans) {
    return sums.index_select(axis, spans.end) - sums.index_select(axis, spans.begin);
  };
  return between(between(corner, -2, rows), -1, columns);
}

/// The smallest box that holds some views, and the largest numbers of their shifts.
struct Hull {
  std::int64_t begin_y = std::numeric_limits<std::int64_t>::max(), begin_x = begin_y;
  std::int64_t end_y = 0, end_x = 0;
  std::int64_t shifts_y = 0, shifts_x = 0;

  void add(const MarkView& view) {
    begin_y = std::min(begin_y, view.origin_y);
    begin_x = std::min(begin_x, view.origin_x);
    end_y = std::max(end_y, view.origin_y + view.support.size(0));
    end_x = std::max(end_x, view.origin_x + view.support.size(1));
    shifts_y = std::max(shifts_y, view.offset.shifts_y);
    shifts_x = std::max(shifts_x, view.offset.shifts_x);
  }
};

/// Views share products while these need no more than this. Many views in a product suit a GPU; on a CPU one angle's
/// fill it, and a smaller box wastes less.
std::int64_t most_product_bytes(at::Device device) {
  return device.is_cuda() ? std::int64_t{1} << 30 : std::int64_t{64} << 20;
}

/// Bytes that a product of `views` views on a box needs at once: the matrix of x, and about eight arrays of sums.
std::int64_t product_bytes(const Hull& hull, std::int64_t views, std::int64_t step, std::int64_t channels,
                           std::int64_t exemplars) {
  const std::int64_t shifts = std::min(hull.shifts_x, kMostTileShifts);
  const std::int64_t cells = (hull.end_y - hull.begin_y) * (hull.end_x - hull.begin_x + (shifts - 1) * step);
  return checked_product({views, shifts, channels, cells + 8 * exemplars, sizeof(float)}, "a mark's products");
}

/// What the mark's side of the score needs of one view: of every channel [C, ...] and shift [shifts_y, shifts_x], in
/// double precision.
struct ViewStatistics {
  at::Tensor x;              // [C, h, w] centred over the support, of norm 1, 0 outside
  at::Tensor count;          // [shifts_y, shifts_x] |P|
  at::Tensor x_mean, scale;  // [C, shifts_y, shifts_x]
  at::Tensor x_rest;         // [shifts_y, shifts_x]
};

/// What is subtracted from x over the whole support: [C, 1, 1].
at::Tensor centre_of(const at::Tensor& x, const at::Tensor& support, const Similarity& similarity) {
  const at::Tensor means = (x * support).sum({1, 2}, true) / support.sum();
  if (similarity.centring == Centring::kMuC) return means;
  return similarity.centring == Centring::kMu ? means.mean().expand_as(means) : at::zeros_like(means);
}

ViewStatistics statistics_of(const MarkView& view, const KeptSpans& rows, const KeptSpans& columns,
                             const ChannelModel& channels, const Similarity& similarity, at::Device device) {
  const auto of_channels = [&](const at::Tensor& values) { return values.to(device).to(at::kDouble).view({-1, 1, 1}); };
  const at::Tensor support = view.support.to(device).to(at::kDouble);
  at::Tensor x = view.features.to(device).to(at::kDouble);
  // Less as much as the exemplars' maps are.
  if (similarity.centring != Centring::kMuC && channels.white.defined()) x = x - of_channels(channels.white);
  ViewStatistics result;
  result.x = (x - centre_of(x, support, similarity)) * support;
  const at::Tensor norm = result.x.square().sum({1, 2}, true).sqrt().clamp_min(1e-30);
  result.x /= norm;
  result.count = sums_kept(support, rows, columns);
  const at::Tensor sum = sums_kept(result.x, rows, columns), squares = sums_kept(result.x.square(), rows, columns);
  const at::Tensor zero = at::zeros({}, sum.options());
  const at::Tensor weight = of_channels(channels.weight), flat_std = of_channels(channels.flat_std);
  if (similarity.scaling == Scaling::kSigmaC) {
    const bool is_centred = similarity.centring == Centring::kMuC;
    const at::Tensor variance_sum = is_centred ? squares - sum.square() / result.count : squares;
    const at::Tensor live = (result.count > 0).logical_and(variance_sum > result.count * (flat_std / norm).square());
    result.x_mean = is_centred ? at::where(live, sum / result.count, zero) : at::zeros_like(sum);
    result.scale = at::where(live, weight * variance_sum.rsqrt(), zero);
    result.x_rest = at::zeros_like(result.count);
    return result;
  }
  const at::Tensor count = result.count.clamp_min(1);
  at::Tensor mean = at::zeros_like(sum);
  if (similarity.centring == Centring::kMu) mean = (sum * norm / count).mean(0, true) / norm;
  if (similarity.centring == Centring::kMuC) mean = sum / count;
  at::Tensor scale = count.reciprocal();
  if (similarity.scaling == Scaling::kSigma) {
    const at::Tensor energy = ((squares - 2 * mean * sum + count * mean.square()) * norm.square()).sum(0);
    const at::Tensor live = energy > count * flat_std.square().sum();
    scale = at::where(live, static_cast<double>(x.size(0)) * energy.rsqrt(), zero);
  }
  result.x_mean = mean;
  result.scale = at::where(result.count > 0, weight * norm * scale, zero);
  result.x_rest = (result.scale * (sum - count * mean)).sum(0);
  if (similarity.is_distance) result.x_rest = (squares * norm.square()).sum(0) / count / static_cast<double>(x.size(0));
  return result;
}

/// Fills the rows of one view of the group: x, support, and the statistics of every shift. Returns its support cells,
/// over all poses.
double lay_out_view(const MarkView& view, std::int64_t index, const FrameCells& frame, std::int64_t margin,
                    const ChannelModel& channels, const Similarity& similarity, ViewGroup& group) {
  const at::Device device = group.x.device();
  const std::int64_t origin_y = view.origin_y - frame.border, origin_x = view.origin_x - frame.border;
  const std::int64_t height = view.support.size(0), width = view.support.size(1);
  const ViewOffset& offset = view.offset;
  const KeptSpans rows = kept_spans(origin_y, height, offset.shifts_y, offset.step_cells, frame.height, margin, device);
  const KeptSpans columns =
      kept_spans(origin_x, width, offset.shifts_x, offset.step_cells, frame.width, margin, device);
  const ViewStatistics found = statistics_of(view, rows, columns, channels, similarity, device);
  const auto box = [&](const at::Tensor& tensor) {
    return tensor.slice(-2, origin_y - group.origin_y, origin_y - group.origin_y + height)
        .slice(-1, origin_x - group.origin_x, origin_x - group.origin_x + width);
  };
  box(group.x.select(1, index)).copy_(found.x);
  box(group.support[index]).copy_(view.support);

  // The group keeps [shifts_x, shifts_y, views, C] until its tiles are cut.
  const auto shifts = [&](const at::Tensor& tensor) {
    return tensor.select(2, index).slice(0, 0, offset.shifts_x).slice(1, 0, offset.shifts_y);
  };
  const at::Tensor count = view.is_pose.defined() ? found.count * view.is_pose.to(device) : found.count;
  shifts(group.inverse_count).copy_(at::where(count > 0, count.reciprocal(), at::zeros({}, count.options())).t());
  shifts(group.x_mean).copy_(found.x_mean.permute({2, 1, 0}));
  shifts(group.x_scale).copy_(found.scale.permute({2, 1, 0}));
  shifts(group.x_rest).copy_(found.x_rest.t());
  at::Tensor pose = at::empty({offset.shifts_x, offset.shifts_y}, at::kLong);
  auto codes = pose.accessor<std::int64_t, 2>();
  const std::int64_t step_px = offset.step_cells * frame.cell_px;
  for (std::int64_t j = 0; j < offset.shifts_x; ++j) {
    for (std::int64_t i = 0; i < offset.shifts_y; ++i) {
      codes[j][i] = encode({narrow<std::int32_t>(view.angle), narrow<std::int32_t>(offset.offset_y_px + i * step_px),
                            narrow<std::int32_t>(offset.offset_x_px + j * step_px)});
    }
  }
  shifts(group.pose).copy_(pose);
  return count.sum().item<double>();
}

/// [tiles * S, shifts_y, views, ...] -> [tiles, shifts_y, views * S, ...].
at::Tensor cut_into_tiles(const at::Tensor& tensor, std::int64_t tile_shifts) {
  std::vector<std::int64_t> shape = tensor.sizes().vec();
  shape.front() /= tile_shifts;
  shape.insert(shape.begin() + 1, tile_shifts);
  return tensor.view(shape).movedim(1, 3).flatten(2, 3).contiguous();
}

ViewGroup lay_out_group(std::span<const MarkView> views, const Hull& hull, const FrameCells& frame, std::int64_t margin,
                        const ChannelModel& channels, const Similarity& similarity, at::Device device,
                        double& support_cells) {
  ViewGroup group;
  group.origin_y = hull.begin_y - frame.border;
  group.origin_x = hull.begin_x - frame.border;
  group.height = hull.end_y - hull.begin_y;
  group.width = hull.end_x - hull.begin_x;
  group.step = views.front().offset.step_cells;
  group.shifts_y = hull.shifts_y;
  group.tile_shifts = std::min(hull.shifts_x, kMostTileShifts);
  group.tiles = divide_up(hull.shifts_x, group.tile_shifts);
  const std::int64_t count = std::ssize(views), channel_count = channels.weight.size(0);
  const std::int64_t shifts_x = group.tiles * group.tile_shifts;
  const auto floats = at::TensorOptions(at::kFloat).device(device);
  group.x = at::zeros({channel_count, count, group.height, group.width}, floats);
  group.support = at::zeros({count, group.height, group.width}, floats);
  group.inverse_count = at::zeros({shifts_x, group.shifts_y, count}, floats);
  group.x_mean = at::zeros({shifts_x, group.shifts_y, count, channel_count}, floats);
  group.x_scale = at::zeros_like(group.x_mean);
  group.x_rest = at::zeros_like(group.inverse_count);
  group.pose = at::full({shifts_x, group.shifts_y, count}, kNoPose, floats.dtype(at::kLong));
  for (std::int64_t v = 0; v < count; ++v) {
    support_cells += lay_out_view(views[static_cast<std::size_t>(v)], v, frame, margin, channels, similarity, group);
  }
  for (at::Tensor* tensor : {&group.inverse_count, &group.x_mean, &group.x_scale, &group.x_rest, &group.pose}) {
    *tensor = cut_into_tiles(*tensor, group.tile_shifts);
  }
  return group;
}

// --- The exemplars --------------------------------------------------------------------------------------------------

/// The maps of some blocks side by side: N exemplars.
struct Exemplars {
  at::Tensor y;             // [H, W, C, N], each channel of each exemplar scaled by a power of 2 to at most 1
  at::Tensor flat_square;   // [C, N]: a channel whose variance is not above this is flat
  at::Tensor inverse_gain;  // [C, N] takes sums of y back to their own scale
  double flat_energy;       // of all channels, for each cell
  at::Tensor finite;        // [N] bool
};

Exemplars join(std::span<const at::Tensor> blocks, std::int64_t lanes, const at::Tensor& flat_std, at::Device device) {
  const at::Tensor& first = blocks.front();
  at::Tensor y =
      at::zeros({first.size(2), first.size(1), first.size(0), lanes}, at::TensorOptions(at::kFloat).device(device));
  for (std::int64_t b = 0; b < std::ssize(blocks); ++b) {
    y.slice(3, b * kLanes, (b + 1) * kLanes)
        .copy_(blocks[static_cast<std::size_t>(b)].to(device).permute({2, 1, 0, 3}));
  }
  // An NCC does not see the gain; 16-bit floats need it.
  const at::Tensor largest = at::maximum(y.abs().amax({0, 1}), flat_std.clamp_min(1e-30f).unsqueeze(1));
  const at::Tensor gain = std::get<0>(at::frexp(largest)) / largest;
  y.mul_(gain);
  return {y, (flat_std.unsqueeze(1) * gain).square_(), gain.reciprocal(),
          flat_std.to(at::kDouble).square().sum().item<double>(), at::isfinite(largest).all(0)};
}

// --- Products -------------------------------------------------------------------------------------------------------

/// Rounded to 10 bits of mantissa, as tensor cores take 32-bit floats.
at::Tensor rounded_to_tf32(const at::Tensor& values) {
  constexpr std::int32_t kHalf = 0x1000, kMask = ~0x1fff;
  return values.contiguous().view(at::kInt).add(kHalf).bitwise_and_(kMask).view(at::kFloat);
}

/// As it enters the products of x and y.
at::Tensor product_input(const at::Tensor& values, ComputePrecision precision) {
  switch (precision) {
    case ComputePrecision::k32:
      return values.contiguous();
    case ComputePrecision::kTf32:
      return rounded_to_tf32(values);
    case ComputePrecision::k16:
      return values.is_cuda() ? values.to(at::kHalf).contiguous()
                              : values.to(at::kHalf).to(at::kFloat).contiguous();  // CPUs multiply 32-bit floats
  }
  throw Bug("unknown precision");
}

/// Terms that add up to `values`, each of them exact to the precision in which tensor cores take it.
std::vector<at::Tensor> sum_inputs(const at::Tensor& values, ComputePrecision precision) {
  if (precision == ComputePrecision::k32) return {values};
  const at::Tensor leading = rounded_to_tf32(values);
  return {leading, values - leading};
}

/// The part of the exemplars that a tile of shifts along x sees: rows for all shifts along y, 0 where no support can
/// lie.
struct Tile {
  at::Tensor y;                            // [rows, columns, C, N]
  at::Tensor y_input;                      // the same, for products with x
  std::vector<at::Tensor> terms, squares;  // that add up to y and y^2
  at::Tensor inside;                       // [rows, columns] 1 where support may lie
};

Tile cut_tile(const Exemplars& exemplars, const ViewGroup& group, std::int64_t tile, std::int64_t margin,
              ComputePrecision precision) {
  const std::int64_t rows = group.height + (group.shifts_y - 1) * group.step;
  const std::int64_t columns = group.width + (group.tile_shifts - 1) * group.step;
  const std::int64_t top = group.origin_y - (group.shifts_y - 1) * group.step;
  const std::int64_t left = group.origin_x - ((tile + 1) * group.tile_shifts - 1) * group.step;
  const at::Tensor& y = exemplars.y;
  Tile result;
  result.y = at::zeros({rows, columns, y.size(2), y.size(3)}, y.options());
  result.inside = at::zeros({rows, columns}, y.options());
  const std::int64_t y0 = std::max(margin, top), y1 = std::min(y.size(0) - margin, top + rows);
  const std::int64_t x0 = std::max(margin, left), x1 = std::min(y.size(1) - margin, left + columns);
  if (y0 < y1 && x0 < x1) {
    const auto seen = [&](const at::Tensor& cells) {
      return cells.slice(0, y0 - top, y1 - top).slice(1, x0 - left, x1 - left);
    };
    seen(result.y).copy_(y.slice(0, y0, y1).slice(1, x0, x1));
    seen(result.inside).fill_(1);
  }
  result.y_input = product_input(result.y, precision);
  result.terms = sum_inputs(result.y, precision);
  result.squares = sum_inputs(result.y.square(), precision);
  return result;
}

/// `cells` [..., h, w] once for every shift of a tile along x, [..., S, h, w + (S - 1) step]: at the highest shift they
/// lie leftmost.
at::Tensor shifted(const at::Tensor& cells, std::int64_t shifts, std::int64_t step) {
  const std::int64_t width = cells.size(-1);
  std::vector<std::int64_t> shape = cells.sizes().vec();
  shape.back() += (shifts - 1) * step;
  shape.insert(shape.end() - 2, shifts);
  at::Tensor result = at::zeros(shape, cells.options());
  for (std::int64_t s = 0; s < shifts; ++s) {
    const std::int64_t begin = (shifts - 1 - s) * step;
    result.select(-3, s).slice(-1, begin, begin + width).copy_(cells);
  }
  return result;
}

/// The mark's side of a group's products. M rows, K cells.
struct ProductRows {
  at::Tensor x;        // [C, M, K]
  at::Tensor x_input;  // the same, for products
  at::Tensor support;  // [M, K]
};

/// The sums over every window of one shift along y and one tile: arrays [M, C, N].
struct WindowSums {
  at::Tensor product;       // sum (x - mean x) y
  at::Tensor sum, squares;  // of y, y^2
  at::Tensor variance_sum;  // sum (y - mean y)^2; y^2 where nothing or a mean over all channels is subtracted
};

/// Sums windows whose variance is lost in their energy anew, in two passes about their mean. `cells` [K, C, N] and
/// `inside` [K] are those of the shift.
void sum_near_dead(const ProductRows& rows, const at::Tensor& cells, const at::Tensor& inside,
                   const at::Tensor& inverse_count, const at::Tensor& x_mean, const at::Tensor& flat_square,
                   WindowSums& sums) {
  constexpr double kNearDead = 1e-3;
  constexpr std::int64_t kCellsAtOnce = std::int64_t{1} << 24;
  const at::Tensor count_column = inverse_count.view({-1, 1, 1});
  const at::Tensor windows = at::nonzero(
      (sums.variance_sum < sums.squares * kNearDead).logical_and_(sums.squares * count_column > flat_square));
  const at::Tensor by_channel = cells.permute({1, 2, 0});  // [C, N, K]
  for (const at::Tensor& some : windows.split(std::max<std::int64_t>(1, kCellsAtOnce / cells.size(0)))) {
    if (some.size(0) == 0) break;
    const at::Tensor m = some.select(1, 0), c = some.select(1, 1), n = some.select(1, 2);
    const at::Tensor support = rows.support.index({m}) * inside;  // [windows, K]
    const at::Tensor inverse = inverse_count.index({m}).unsqueeze(1);
    const at::Tensor y = by_channel.index({c, n}) * support;
    const at::Tensor centred = (y - y.sum(1, true) * inverse) * support;
    const at::Tensor rest = centred.sum(1, true);  // what rounding of the mean leaves
    const at::Tensor x = rows.x.index({c, m}) - x_mean.index({m, c}).unsqueeze(1);
    sums.product.index_put_({m, c, n}, (centred * x).sum(1));
    sums.variance_sum.index_put_({m, c, n}, (centred.square().sum(1, true) - rest.square() * inverse).squeeze(1));
  }
}

/// What a pose needs of the mark: [M] or [M, C].
struct PoseTerms {
  at::Tensor inverse_count, x_mean, x_scale, x_rest;
};

/// The NCC of each channel, weighed and added up: [M, N].
at::Tensor score_by_channel(WindowSums sums, const PoseTerms& pose, const Exemplars& exemplars) {
  const at::Tensor live = sums.variance_sum * pose.inverse_count.view({-1, 1, 1}) > exemplars.flat_square;
  const at::Tensor ncc = sums.product.mul_(sums.variance_sum.rsqrt_()).mul_(pose.x_scale.unsqueeze(2));
  return ncc.masked_fill_(live.logical_not(), 0).sum(1);
}

/// Products, energies and sums added up over the channels, and a score made of them: [M, N].
at::Tensor score_pooled(const WindowSums& sums, const PoseTerms& pose, const Exemplars& exemplars,
                        const Similarity& similarity) {
  const auto pooled = [&](const at::Tensor& values, const at::Tensor& gain) { return (values * gain).sum(1); };
  const at::Tensor gain = exemplars.inverse_gain, inverse_count = pose.inverse_count.unsqueeze(1);
  at::Tensor score = pooled(sums.product * pose.x_scale.unsqueeze(2), gain);
  if (similarity.is_distance) {
    const at::Tensor y_energy = pooled(sums.squares, gain.square()) * inverse_count / static_cast<double>(gain.size(0));
    return 2 * score - y_energy - pose.x_rest.unsqueeze(1);
  }
  at::Tensor mean, sum;
  if (similarity.centring == Centring::kMu) {
    sum = pooled(sums.sum, gain);
    mean = sum * inverse_count / static_cast<double>(gain.size(0));
    score = score - mean * pose.x_rest.unsqueeze(1);
  }
  if (similarity.scaling == Scaling::kNone) return score;
  at::Tensor energy = pooled(sums.variance_sum, gain.square());
  if (similarity.centring == Centring::kMu) energy = energy - mean * sum;
  return at::where(energy * inverse_count > exemplars.flat_energy, score * energy.rsqrt(),
                   at::zeros({}, score.options()));
}

/// Scores of every pose of one tile at one shift along y, [M, N]; -infinity where the pose has no support.
at::Tensor score_poses(const ViewGroup& group, const ProductRows& rows, const Tile& tile, const Exemplars& exemplars,
                       const Similarity& similarity, std::int64_t tile_index, std::int64_t shift_y) {
  const std::int64_t cell_count = rows.support.size(1), channels = rows.x.size(0), lanes = exemplars.y.size(3);
  const std::int64_t first_row = (group.shifts_y - 1 - shift_y) * group.step;
  const auto window_rows = [&](const at::Tensor& map) { return map.slice(0, first_row, first_row + group.height); };
  const auto sum_over_windows = [&](const std::vector<at::Tensor>& terms) {
    at::Tensor sum;
    for (const at::Tensor& term : terms) {
      const at::Tensor part = at::mm(rows.support, window_rows(term).reshape({cell_count, channels * lanes}));
      sum = sum.defined() ? sum.add_(part) : part;
    }
    return sum.view({-1, channels, lanes});
  };
  const auto of_pose = [&](const at::Tensor& values) { return values[tile_index][shift_y]; };
  const PoseTerms pose = {of_pose(group.inverse_count), of_pose(group.x_mean), of_pose(group.x_scale),
                          of_pose(group.x_rest)};
  const at::Tensor count_column = pose.inverse_count.view({-1, 1, 1});

  WindowSums sums;
  sums.sum = sum_over_windows(tile.terms);
  sums.squares = sum_over_windows(tile.squares);
  const at::Tensor y = window_rows(tile.y_input).reshape({cell_count, channels, lanes}).permute({1, 0, 2});
  sums.product = at::bmm(rows.x_input, y).permute({1, 0, 2}).to(at::kFloat);
  sums.product = sums.product.addcmul(pose.x_mean.unsqueeze(2), sums.sum, -1);
  const bool is_centred = similarity.centring == Centring::kMuC;
  sums.variance_sum = is_centred ? sums.squares.addcmul(sums.sum.square(), count_column, -1) : sums.squares;
  if (is_centred && similarity.scaling != Scaling::kNone) {
    sum_near_dead(rows, window_rows(tile.y).reshape({cell_count, channels, lanes}),
                  window_rows(tile.inside).reshape({cell_count}), pose.inverse_count, pose.x_mean,
                  exemplars.flat_square, sums);
  }
  const at::Tensor score = similarity.scaling == Scaling::kSigmaC ? score_by_channel(sums, pose, exemplars)
                                                                  : score_pooled(sums, pose, exemplars, similarity);
  return score.masked_fill_((pose.inverse_count == 0).unsqueeze(1), -std::numeric_limits<float>::infinity());
}

/// The best pose so far of each of N exemplars, on the device.
struct BestOnDevice {
  at::Tensor score;  // [N]
  at::Tensor pose;   // [N] int64

  /// Merges the poses [M] with their scores [M, N]. Of equal scores the earlier pose wins, in whatever order they come.
  void merge(const at::Tensor& poses, const at::Tensor& scores) {
    const at::Tensor highest = scores.amax(0);
    const at::Tensor earliest =
        at::where(scores == highest, poses.unsqueeze(1), at::full_like(poses[0], kNoPose)).amin(0);
    const at::Tensor better = (highest > score).logical_or((highest == score).logical_and(earliest < pose));
    score = at::where(better, highest, score);
    pose = at::where(better, earliest, pose);
  }
};

}  // namespace

TensorMark::TensorMark(std::vector<MarkView> views, const FrameCells& frame, std::int64_t erosion_radius,
                       const ChannelModel& channels, at::Device device, ComputePrecision precision,
                       Similarity similarity)
    : frame_(frame),
      margin_(erosion_radius - frame.border),
      flat_std_(channels.flat_std.to(device)),
      device_(device),
      precision_(precision),
      similarity_(similarity) {
  ensure(margin_ >= 0, "the support must be eroded by at least the border that the index leaves out");
  ensure(!needs_statistics(similarity), "kernels know statistics of windows only");
  std::erase_if(views, [](const MarkView& view) { return view.support.numel() == 0; });
  const std::int64_t lanes = blocks_per_product(device) * kLanes, channel_count = channels.weight.size(0);
  double support_cells = 0;
  for (std::size_t begin = 0; begin < views.size();) {
    Hull hull;
    std::size_t end = begin;
    for (; end < views.size(); ++end) {
      Hull larger = hull;
      larger.add(views[end]);
      const auto count = static_cast<std::int64_t>(end + 1 - begin);
      if (count > 1 &&
          product_bytes(larger, count, views[end].offset.step_cells, channel_count, lanes) > most_product_bytes(device))
        break;
      hull = larger;
    }
    groups_.push_back(lay_out_group(std::span(views).subspan(begin, end - begin), hull, frame, margin_, channels,
                                    similarity, device, support_cells));
    begin = end;
  }
  useful_flops_ = 2.0 * static_cast<double>(channel_count) * support_cells;
}

std::int64_t blocks_per_product(at::Device device) { return device.is_cuda() ? 4 : 1; }

std::int64_t product_working_bytes(std::int64_t block_floats, at::Device device, ComputePrecision precision) {
  // A tile sees at most the frame and as much again around it: y and y^2, and in reduced precision their roundings.
  const std::int64_t copies = precision == ComputePrecision::k32 ? 1 + 2 * 2 : 1 + 2 * 7;
  const std::int64_t rounded = precision == ComputePrecision::k32 ? 1 : 2;  // x as it is and as it is multiplied
  return checked_product({copies, blocks_per_product(device), block_floats, sizeof(float)}, "a product's exemplars") +
         rounded * most_product_bytes(device);
}

void search_blocks(const TensorMark& mark, std::span<const at::Tensor> blocks, std::span<BestPose> best) {
  ensure(best.size() == blocks.size() * kLanes, "one result per exemplar");
  if (mark.groups_.empty()) return;
  for (const at::Tensor& block : blocks) {
    ensure(
        block.scalar_type() == at::kFloat &&
            block.sizes() == at::IntArrayRef({mark.flat_std_.size(0), mark.frame_.width, mark.frame_.height, kLanes}),
        "a block's shape is not that of the prepared mark's frame");
  }
  // Inputs of lower precision have been rounded by then, and sums are taken of terms that lose nothing.
  if (mark.device_.is_cuda()) at::globalContext().setAllowTF32CuBLAS(mark.precision_ != ComputePrecision::k32);
  const auto at_once = static_cast<std::size_t>(blocks_per_product(mark.device_));
  for (std::size_t first = 0; first < blocks.size(); first += at_once) {
    const auto some = blocks.subspan(first, std::min(at_once, blocks.size() - first));
    const auto lanes = static_cast<std::int64_t>(at_once) * kLanes;
    const Exemplars exemplars = join(some, lanes, mark.flat_std_, mark.device_);
    BestOnDevice found = {at::full({lanes}, -std::numeric_limits<float>::infinity(), exemplars.y.options()),
                          at::full({lanes}, kNoPose, exemplars.y.options().dtype(at::kLong))};
    for (const ViewGroup& group : mark.groups_) {
      ProductRows rows;
      rows.x = shifted(group.x, group.tile_shifts, group.step).flatten(3, 4).flatten(1, 2);
      rows.x_input = product_input(rows.x, mark.precision_);
      rows.support = shifted(group.support, group.tile_shifts, group.step).flatten(2, 3).flatten(0, 1);
      for (std::int64_t tile = 0; tile < group.tiles; ++tile) {
        const Tile seen = cut_tile(exemplars, group, tile, mark.margin_, mark.precision_);
        for (std::int64_t shift_y = 0; shift_y < group.shifts_y; ++shift_y) {
          found.merge(group.pose[tile][shift_y],
                      score_poses(group, rows, seen, exemplars, mark.similarity_, tile, shift_y));
        }
      }
    }
    const at::Tensor score = found.score.to(at::kCPU), pose = found.pose.to(at::kCPU);
    const at::Tensor finite = exemplars.finite.to(at::kCPU);
    for (std::size_t i = 0; i < some.size() * kLanes; ++i) {
      const float value = score.data_ptr<float>()[i];
      if (!finite.data_ptr<bool>()[i]) {
        best[first * kLanes + i].merge({std::numeric_limits<float>::quiet_NaN(), {}});
        continue;
      }
      if (value == -std::numeric_limits<float>::infinity()) continue;
      best[first * kLanes + i].merge({value, decode(pose.data_ptr<std::int64_t>()[i])});
    }
  }
}

}  // namespace outsole::match
