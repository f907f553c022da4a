#include "retrieval/open_index.h"

#include <numeric>
#include <utility>

#include "core/errors.h"
#include "match/lanes.h"

namespace outsole::retrieval {

namespace {

/// The mean over all cells of all exemplars' maps of what a data set [blocks, channels] has summed up: [C] float64.
at::Tensor mean_of(const store::Store& store, const char* name, const IndexParameters& p) {
  const store::Column sums = store.read(name);
  const auto& values = std::get<std::vector<double>>(sums.values);
  if (sums.shape != std::vector<std::int64_t>{p.blocks(), p.map_channels()}) {
    throw DataError(store.path().string() + ": " + name + " does not fit its parameters");
  }
  at::Tensor mean = at::zeros({p.map_channels()}, at::kDouble);
  double* means = mean.data_ptr<double>();
  for (std::int64_t block = 0; block < p.blocks(); ++block) {  // in this order, so every rank gets the same bits
    for (std::int64_t c = 0; c < p.map_channels(); ++c) {
      means[c] += values[static_cast<std::size_t>(block * p.map_channels() + c)];
    }
  }
  mean /= static_cast<double>(p.exemplars) * static_cast<double>(p.map_height) * static_cast<double>(p.map_width);
  return mean;
}

/// [C] float64 of a data set of the view.
at::Tensor told_mean(const store::Store& store, const char* name, const IndexParameters& p) {
  const store::Column column = store.read(name);
  const auto& values = std::get<std::vector<double>>(column.values);
  if (std::ssize(values) != p.map_channels())
    throw DataError(store.path().string() + ": " + name + " does not fit its parameters");
  return at::tensor(values, at::kDouble);
}

match::ChannelModel channels_of(const store::Store& store, const IndexParameters& p) {
  const auto [mean, square_mean] = channel_means(store, p);
  match::ChannelModel channels = match::plain_channel_model(square_mean);
  channels.white = at::tensor(std::get<std::vector<float>>(store.read("white_response").values));
  if (channels.white.numel() != p.map_channels())
    throw DataError(store.path().string() + ": white_response does not fit its parameters");
  if (!mean.defined()) return channels;
  channels.mean = mean - channels.white.to(at::kDouble);
  channels.deviation = (square_mean - mean.square()).clamp_min(0).sqrt();
  return channels;
}

/// The maps have the shape and the type that the parameters say.
void require_maps(const store::Store& store, const IndexParameters& p) {
  const std::string name = store.path().string();
  if (store.rows() != p.blocks())
    throw DataError(name + ": holds " + std::to_string(store.rows()) + " blocks, not " + std::to_string(p.blocks()));
  const match::FrameCells cells = p.frame_cells();
  if (store.shape("maps") !=
      std::vector<std::int64_t>{p.blocks(), p.map_channels(), cells.width, cells.height, match::kLanes}) {
    throw DataError(name + ": its maps do not have the shape that its parameters say");
  }
  const std::string wanted = p.precision_bits == 8 ? "uint8" : "float" + std::to_string(p.precision_bits);
  if (store.type("maps") != wanted)
    throw DataError(name + ": its maps are of type " + store.type("maps") + ", not " + wanted);
  for (const char* terms : {"map_scale", "map_zero"}) {
    if (p.precision_bits == 8 && !store.has(terms)) throw DataError(name + ": lacks '" + terms + "'");
    if (p.precision_bits != 8 && store.has(terms)) throw DataError(name + ": has '" + terms + "', but not 8 bits");
    if (store.has(terms) &&
        store.shape(terms) != std::vector<std::int64_t>{p.blocks(), p.map_channels(), match::kLanes}) {
      throw DataError(name + ": its '" + terms + "' does not have the shape that its parameters say");
    }
  }
}

/// Every exemplar has the number of its lane.
void number_by_lanes(OpenIndex& index) {
  const std::int64_t exemplars = index.parameters.exemplars, blocks = index.parameters.blocks();
  for (std::int64_t row = 0; row < blocks; ++row) index.blocks.push_back({0, row});
  index.lane_of_exemplar.resize(static_cast<std::size_t>(exemplars));
  std::iota(index.lane_of_exemplar.begin(), index.lane_of_exemplar.end(), 0);
  index.exemplar_of_lane.assign(static_cast<std::size_t>(blocks * match::kLanes), -1);
  std::iota(index.exemplar_of_lane.begin(), index.exemplar_of_lane.begin() + exemplars, 0);
}

/// Empty where the version does not keep it.
std::vector<std::int32_t> equal_to_of(const store::Store& store, const IndexParameters& p) {
  if (p.version < 4) return {};
  auto equal_to = std::get<std::vector<std::int32_t>>(store.read("exemplar_equal_to").values);
  bool fits = std::ssize(equal_to) == p.exemplars;
  for (std::size_t i = 0; fits && i < equal_to.size(); ++i) {
    const std::int32_t first = equal_to[i];
    fits = first >= 0 && std::cmp_less_equal(first, i) && equal_to[static_cast<std::size_t>(first)] == first;
  }
  if (!fits) throw DataError(store.path().string() + ": exemplar_equal_to names no first exemplar of equal pixels");
  return equal_to;
}

}  // namespace

const store::Store& OpenIndex::store_of(const BlockPlace& place) const {
  return place.index == 0 ? store : further[static_cast<std::size_t>(place.index - 1)];
}

nlohmann::json OpenIndex::sha256() const {
  if (further.empty()) return store.sha256();
  nlohmann::json all = {store.sha256()};
  for (const store::Store& one : further) all.push_back(one.sha256());
  return all;
}

ChannelMeans channel_means(const store::Store& index, const IndexParameters& parameters) {
  if (index.has("reference_mean") != index.has("reference_square_mean"))
    throw DataError(index.path().string() + ": has one of reference_mean and reference_square_mean alone");
  if (index.has("reference_mean")) {
    return {told_mean(index, "reference_mean", parameters), told_mean(index, "reference_square_mean", parameters)};
  }
  return {parameters.version < 3 ? at::Tensor() : mean_of(index, "channel_sum", parameters),
          mean_of(index, "channel_square_sum", parameters)};
}

OpenIndex read_index(store::Store store) {
  const std::string name = store.path().string();
  const IndexParameters p = IndexParameters::from_header(store.header(), name);
  require_maps(store, p);
  auto ids = std::get<std::vector<std::string>>(store.read("exemplar_id").values);
  auto width_px = std::get<std::vector<std::int32_t>>(store.read("exemplar_width_px").values);
  auto mirrored = std::get<std::vector<std::uint8_t>>(store.read("exemplar_mirror").values);
  if (static_cast<std::int64_t>(ids.size()) != p.exemplars)
    throw DataError(name + ": exemplar_id does not fit its parameters");
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (width_px[i] < 1) throw DataError(name + ": exemplar '" + ids[i] + "' has an impossible width");
  }
  std::vector<std::int32_t> equal_to = equal_to_of(store, p);
  match::ChannelModel channels = channels_of(store, p);
  store.forget_told();
  OpenIndex index = {std::move(store),
                     p,
                     std::move(ids),
                     std::move(width_px),
                     std::move(mirrored),
                     std::move(equal_to),
                     std::move(channels),
                     nullptr,
                     {},
                     {},
                     {},
                     {}};
  number_by_lanes(index);
  return index;
}

OpenIndex open_index(store::Store store, const std::string& weights_path, at::Device device) {
  OpenIndex index = read_index(std::move(store));
  index.extractor = extractor_of_index(index.parameters, weights_path, index.store.path().string());
  index.extractor->to(device);
  return index;
}

}  // namespace outsole::retrieval
