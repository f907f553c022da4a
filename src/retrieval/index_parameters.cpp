#include "retrieval/index_parameters.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "core/checked.h"
#include "core/errors.h"
#include "image/image.h"
#include "match/lanes.h"
#include "retrieval/network_json.h"
#include "retrieval/weights_identity.h"

namespace outsole::retrieval {

bool is_same_dpi(double a, double b) {
  constexpr double kRounding = 1e-3;
  return std::abs(a - b) <= kRounding * std::max(a, b);
}

match::FrameCells IndexParameters::frame_cells() const {
  return {map_height - 2 * border_cells, map_width - 2 * border_cells, border_cells, geometry.stride_px};
}

std::int64_t IndexParameters::blocks() const { return divide_up(exemplars, match::kLanes); }

std::int64_t IndexParameters::map_channels() const { return metric ? metric->components : geometry.channels; }

std::int64_t IndexParameters::block_floats() const {
  const match::FrameCells cells = frame_cells();
  return checked_product({map_channels(), cells.height, cells.width, match::kLanes}, "a block of the index");
}

std::int64_t IndexParameters::stored_block_bytes() const {
  const std::int64_t scales =
      precision_bits == 8 ? map_channels() * match::kLanes * std::int64_t{sizeof(float) + 1} : 0;
  return block_floats() * precision_bits / 8 + scales;
}

store::StoreHeader IndexParameters::header() const {
  nlohmann::json json = {{"extractor", extractor_kind},
                         {"weights_convention", weights_convention},
                         {"weights_identity", weights_identity},
                         {"mean_grey", mean_grey},
                         {"image_scale", image_scale},
                         {"frame_height_px", frame_height_px},
                         {"frame_width_px", frame_width_px},
                         {"search_height_px", search_height_px},
                         {"search_width_px", search_width_px},
                         {"channels", geometry.channels},
                         {"stride_px", geometry.stride_px},
                         {"first_center_half_px", geometry.first_center_half_px},
                         {"map_height", map_height},
                         {"map_width", map_width},
                         {"border_cells", border_cells},
                         {"lanes", match::kLanes},
                         {"precision_bits", precision_bits},
                         {"exemplars", exemplars},
                         {"exemplars_sha256", exemplars_sha256}};
  if (exemplar_dpi > 0) json["exemplar_dpi"] = exemplar_dpi;
  if (!like_sha256.empty()) json["like_sha256"] = like_sha256;
  if (network) json["network"] = network_to_json(*network);
  if (metric) {
    json["metric_sha256"] = metric->sha256;
    json["components"] = metric->components;
  }
  return {kIndexSchema, 5, std::move(json)};
}

IndexParameters IndexParameters::from_header(const store::StoreHeader& header, const std::string& file) {
  const nlohmann::json& json = header.parameters;
  const auto impossible = [&](const std::string& name) {
    return DataError(file + ": parameter '" + name + "' is missing or impossible");
  };
  const auto text = [&](const char* name) {
    if (!json.contains(name) || !json[name].is_string()) throw impossible(name);
    return json[name].get<std::string>();
  };
  const auto integer = [&](const char* name, std::int64_t low, std::int64_t high) {
    if (!json.contains(name) || !json[name].is_number_integer()) throw impossible(name);
    const auto value = json[name].get<std::int64_t>();
    if (value < low || value > high) throw impossible(name);
    return value;
  };
  const auto real = [&](const char* name, double low, double high) {
    if (!json.contains(name) || !json[name].is_number()) throw impossible(name);
    const double value = json[name].get<double>();
    if (!(value >= low && value <= high)) throw impossible(name);
    return value;
  };
  constexpr std::int64_t kLongest = 1 << 20;
  IndexParameters p;
  p.version = header.version;
  p.extractor_kind = text("extractor");
  p.weights_convention = text("weights_convention");
  p.weights_identity = text("weights_identity");
  p.mean_grey = real("mean_grey", 0, 255);
  p.image_scale = real("image_scale", 1e-3, 16);
  p.frame_height_px = integer("frame_height_px", 1, kLongest);
  p.frame_width_px = integer("frame_width_px", 1, kLongest);
  p.search_height_px = integer("search_height_px", 1, kLongest);
  p.search_width_px = integer("search_width_px", 1, kLongest);
  const bool in_whole_pixels = p.version == 1;
  p.geometry = {integer("channels", 1, kLongest), integer("stride_px", 1, 1024),
                in_whole_pixels ? 2 * integer("first_center_px", 0, 1024) : integer("first_center_half_px", 0, 2048)};
  p.map_height = integer("map_height", 1, kLongest);
  p.map_width = integer("map_width", 1, kLongest);
  p.border_cells = integer("border_cells", 0, (std::min(p.map_height, p.map_width) - 1) / 2);
  p.precision_bits = integer("precision_bits", p.version < 5 ? 16 : 8, 32);
  if (!std::has_single_bit(static_cast<std::uint64_t>(p.precision_bits))) throw impossible("precision_bits");
  p.exemplars = integer("exemplars", 1, std::int64_t{1} << 31);
  p.exemplars_sha256 = text("exemplars_sha256");
  if (json.contains("exemplar_dpi")) p.exemplar_dpi = real("exemplar_dpi", image::kLeastDpi, image::kMostDpi);
  if (json.contains("like_sha256")) p.like_sha256 = text("like_sha256");
  integer("lanes", match::kLanes, match::kLanes);
  if (json.contains("metric_sha256")) p.metric = {text("metric_sha256"), integer("components", 1, p.geometry.channels)};
  p.block_floats();
  if (p.version > 1 && json.contains("network") == p.weights_identity.empty()) throw impossible("network");
  if (p.version > 1 && json.contains("network")) p.network = network_from_json(json["network"], file);
  return p;
}

namespace {

std::string identity_of(const features::Extractor& extractor, const std::string& weights_path, std::int64_t version) {
  const std::vector<features::WeightTensor> tensors = extractor.weights();
  if (tensors.empty()) return {};
  return version == 1 ? weights_fnv1a(weights_path, tensors) : weights_sha256(weights_path, tensors);
}

}  // namespace

std::unique_ptr<features::Extractor> extractor_of_index(const IndexParameters& parameters,
                                                        const std::string& weights_path, const std::string& file) {
  features::ExtractorSpec spec = {parameters.extractor_kind, weights_path};
  if (!parameters.weights_convention.empty()) spec.weights_convention = parameters.weights_convention;
  spec.mean_grey = parameters.mean_grey;
  spec.network = parameters.network;
  auto extractor = features::make_extractor(spec);
  if (identity_of(*extractor, weights_path, parameters.version) != parameters.weights_identity) {
    throw DataError(weights_path + ": not the weights that " + file + " was made with");
  }
  if (extractor->geometry() != parameters.geometry) {
    throw DataError(file + ": its maps are not those of " + parameters.extractor_kind);
  }
  return extractor;
}

}  // namespace outsole::retrieval
