#include "retrieval/open_index.h"

#include <optional>
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

match::ChannelModel channels_of(const store::Store& store, const IndexParameters& p) {
  const at::Tensor square_mean = mean_of(store, "channel_square_sum", p);
  match::ChannelModel channels = match::plain_channel_model(square_mean);
  channels.white = at::tensor(std::get<std::vector<float>>(store.read("white_response").values));
  if (channels.white.numel() != p.map_channels())
    throw DataError(store.path().string() + ": white_response does not fit its parameters");
  if (p.version < 3) return channels;
  const at::Tensor mean = mean_of(store, "channel_sum", p);
  channels.mean = mean - channels.white.to(at::kDouble);
  channels.deviation = (square_mean - mean.square()).clamp_min(0).sqrt();
  return channels;
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

OpenIndex open_index(store::Store store, const std::string& weights_path, at::Device device) {
  const std::string name = store.path().string();
  IndexParameters p = IndexParameters::from_header(store.header(), name);
  if (store.rows() != p.blocks())
    throw DataError(name + ": holds " + std::to_string(store.rows()) + " blocks, not " + std::to_string(p.blocks()));
  const match::FrameCells cells = p.frame_cells();
  if (store.shape("maps") !=
      std::vector<std::int64_t>{p.blocks(), p.map_channels(), cells.width, cells.height, match::kLanes}) {
    throw DataError(name + ": its maps do not have the shape that its parameters say");
  }
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
  auto extractor = extractor_of_index(p, weights_path, name);
  extractor->to(device);
  return {std::move(store),    p,
          std::move(ids),      std::move(width_px),
          std::move(mirrored), std::move(equal_to),
          std::move(channels), std::move(extractor)};
}

OpenIndex open_plain_index(const comm::Communicator& comm, const std::filesystem::path& path,
                           const std::string& weights_path, at::Device device) {
  store::Store store = store::Store::open_together(comm, path, kIndexSchema, kToldOfIndex);
  std::optional<OpenIndex> index;
  comm.together([&] {
    index.emplace(open_index(std::move(store), weights_path, device));
    if (index->parameters.metric) {
      throw UsageError("`index` " + path.string() +
                       ": its maps are projected by a learned metric; learn from one that holds them as they are");
    }
  });
  return std::move(*index);
}

}  // namespace outsole::retrieval
