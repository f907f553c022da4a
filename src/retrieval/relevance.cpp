#include "retrieval/relevance.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "core/errors.h"
#include "match/contributions.h"
#include "retrieval/exemplar_image.h"
#include "retrieval/framed_exemplar.h"
#include "retrieval/turned_mark.h"

namespace outsole::retrieval {

namespace {

/// Where the frame lies on the mark's canvas at a pose that people read: what search_results.cpp publishes, backwards.
match::Pose pose_on_canvas(const image::MarkPose& published, const ScaledMark& mark, std::int64_t angle,
                           const SeenExemplar& exemplar, const IndexParameters& index) {
  const auto to_search = [](double px, std::int64_t search, std::int64_t frame) {
    return (px + 0.5) * static_cast<double>(search) / static_cast<double>(frame) - 0.5;
  };
  const double x_px = exemplar.mirror ? static_cast<double>(exemplar.width_px) - 1 - published.x_px : published.x_px;
  const auto left = static_cast<double>(exemplar_left_px(exemplar.width_px, index.frame_width_px));
  const CentreOffset as_received = centre_offset(mark, angle);
  const double y =
      mark.centre_y_px - to_search(published.y_px - as_received.y_px, index.search_height_px, index.frame_height_px);
  const double x =
      mark.centre_x_px - to_search(x_px - as_received.x_px + left, index.search_width_px, index.frame_width_px);
  const match::Pose pose = {static_cast<std::int32_t>(angle), static_cast<std::int32_t>(std::lround(y)),
                            static_cast<std::int32_t>(std::lround(x))};
  constexpr double kRounding_px = 0.1;
  const bool is_on_grid = std::abs(y - pose.y_px) < kRounding_px && std::abs(x - pose.x_px) < kRounding_px;
  if (!is_on_grid || pose.y_px < 0 || pose.x_px < 0 || pose.y_px > mark.grid.pad_y_px() ||
      pose.x_px > mark.grid.pad_x_px()) {
    throw DataError("mark '" + mark.id + "': its pose is not one that this index and protocol give");
  }
  return pose;
}

/// `maps` [..., h, w] from a cell on, brought to the frame's cells; `fill` where they end before.
at::Tensor on_cells(const at::Tensor& maps, std::int64_t row, std::int64_t column, const IndexParameters& index) {
  const at::Tensor seen = maps.slice(-2, row, row + index.map_height).slice(-1, column, column + index.map_width);
  const std::int64_t below = index.map_height - seen.size(-2), beside = index.map_width - seen.size(-1);
  return below == 0 && beside == 0 ? seen : at::constant_pad_nd(seen, {0, beside, 0, below});
}

/// Cells that the search never looks at: nearer than `radius` to the frame's edge.
at::Tensor without_edge(const at::Tensor& support, std::int64_t radius) {
  at::Tensor inner = at::zeros_like(support);
  const auto middle = [&](const at::Tensor& map) {
    return map.slice(0, radius, map.size(0) - radius).slice(1, radius, map.size(1) - radius);
  };
  middle(inner).copy_(middle(support));
  return inner;
}

}  // namespace

PosedMark posed_mark(ScaledMark mark, const SeenExemplar& exemplar, const OpenIndex& index,
                     const SearchProtocol& protocol, const image::MarkPose& published) {
  const IndexParameters& p = index.parameters;
  mark.grid.angles_deg = {exemplar.mirror ? -published.angle_deg : published.angle_deg};
  mark.first_mirrored = published.mirrored != exemplar.mirror ? 0 : 1;
  const match::Pose pose = pose_on_canvas(published, mark, 0, exemplar, p);
  const std::int64_t cell_px = p.geometry.stride_px;
  const match::ViewOffset offset = {pose.y_px % cell_px, pose.x_px % cell_px, 1, 1, 1};
  const TurnedMark turned = turn(mark, 0);
  const auto from_offset = [&](const at::Tensor& canvas) {
    return canvas.slice(0, offset.offset_y_px).slice(1, offset.offset_x_px).contiguous();
  };
  PosedMark posed;
  posed.mark_image = from_offset(turned.image);
  posed.mark_pixels = from_offset(turned.support);
  posed.row = pose.y_px / cell_px;
  posed.column = pose.x_px / cell_px;
  const at::Tensor support = support_of_view(turned.support, offset, *index.extractor, p, protocol);
  posed.support = without_edge(on_cells(support, posed.row, posed.column, p), erosion_radius(p, protocol));
  if (!posed.support.any().item<bool>()) throw DataError("mark '" + mark.id + "': its pose leaves no support");
  return posed;
}

PosedPair posed_pair(const ScaledMark& mark, const ingest::ExemplarRecord& exemplar, const OpenIndex& index,
                     const SearchProtocol& protocol, const image::MarkPose& pose) {
  return {posed_mark(mark, {exemplar.width_px, exemplar.mirror}, index, protocol, pose),
          framed_exemplar(exemplar, index.parameters)};
}

Relevance relevance_of(const PosedPair& pair, const features::Extractor& extractor, const IndexParameters& index,
                       const match::ChannelModel& channels, const match::Similarity& similarity) {
  const auto leaf = [](const at::Tensor& image) { return image.detach().clone().requires_grad_(true); };
  const auto maps_of = [&](const at::Tensor& image) {
    return extractor.forward(image.view({1, 1, image.size(0), image.size(1)}))[0];
  };
  const at::Tensor mark = leaf(pair.mark_image), exemplar = leaf(pair.exemplar_image);
  const at::Tensor terms = match::contributions(on_cells(maps_of(mark), pair.row, pair.column, index),
                                                maps_of(exemplar), pair.support, channels, similarity);
  const at::Tensor positive = terms.relu().sum();
  if (!positive.requires_grad()) throw DataError("the features do not depend on the images");
  positive.backward();
  return {terms.sum().item<double>(), positive.item<double>(), on_frame(mark.grad(), pair, index).abs(),
          exemplar.grad().abs()};
}

at::Tensor most_relevant(const at::Tensor& gradient, const at::Tensor& among, double share) {
  const at::Tensor candidates = gradient.masked_select(among);
  const auto count = static_cast<std::int64_t>(std::floor(share * static_cast<double>(candidates.numel())));
  if (count < 1) return at::zeros_like(among);
  const at::Tensor least = std::get<0>(candidates.topk(count)).amin();
  return among.logical_and(gradient >= least).logical_and(gradient > 0);
}

at::Tensor on_frame(const at::Tensor& mark_canvas, const PosedMark& posed, const IndexParameters& index) {
  const std::int64_t top = posed.row * index.geometry.stride_px, left = posed.column * index.geometry.stride_px;
  return mark_canvas.slice(0, top, top + index.search_height_px).slice(1, left, left + index.search_width_px);
}

}  // namespace outsole::retrieval
