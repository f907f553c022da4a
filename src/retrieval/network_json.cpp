#include "retrieval/network_json.h"

#include <array>
#include <variant>

#include "core/errors.h"

namespace outsole::retrieval {
namespace {

using features::Layer;

template <typename... Visitors>
struct Visit : Visitors... {
  using Visitors::operator()...;
};

nlohmann::json window_to_json(const features::Window& window) {
  nlohmann::json node = {{"kernel", window.kernel}, {"stride", window.stride}, {"padding", window.padding}};
  if (window.ceil_mode) node["ceil"] = true;
  return node;
}

nlohmann::json layers_to_json(const std::vector<Layer>& layers);

nlohmann::json convolution_to_json(const features::ConvolutionLayer& layer) {
  nlohmann::json node = window_to_json(layer.window);
  node["name"] = layer.name;
  node["channels"] = layer.channels;
  node["bias"] = layer.bias;
  if (!layer.batch_norm.empty()) {
    node["batch_norm"] = layer.batch_norm;
    node["batch_norm_epsilon"] = layer.batch_norm_epsilon;
  }
  return {{"convolution", node}};
}

nlohmann::json layer_to_json(const Layer& layer) {
  using Json = nlohmann::json;
  return std::visit(
      Visit{
          [](const features::ConvolutionLayer& l) { return convolution_to_json(l); },
          [](const features::ReluLayer&) {
            return Json{{"relu", Json::object()}};
          },
          [](const features::MaxPoolLayer& l) {
            return Json{{"max_pool", window_to_json(l.window)}};
          },
          [](const features::AveragePoolLayer& l) {
            return Json{{"average_pool", window_to_json(l.window)}};
          },
          [](const features::ResponseNormLayer& l) {
            return Json{
                {"response_norm", {{"channels", l.channels}, {"alpha", l.alpha}, {"beta", l.beta}, {"k", l.k}}}};
          },
          [](const features::ResidualLayer& l) {
            return Json{{"sum", {{"residual", layers_to_json(l.residual)}, {"shortcut", layers_to_json(l.shortcut)}}}};
          },
          [](const features::ConcatLayer& l) {
            Json branches = Json::array();
            for (const auto& branch : l.branches) branches.push_back(layers_to_json(branch));
            return Json{{"concat", {{"branches", branches}}}};
          }},
      layer);
}

nlohmann::json layers_to_json(const std::vector<Layer>& layers) {
  nlohmann::json node = nlohmann::json::array();
  for (const Layer& layer : layers) node.push_back(layer_to_json(layer));
  return node;
}

/// Fields of a JSON object, each of them checked.
class Fields {
 public:
  Fields(const nlohmann::json& node, const std::string& file) : json_(node), file_(file) {
    if (!node.is_object()) throw impossible("network");
  }

  const nlohmann::json& at(const char* name) const {
    if (!json_.contains(name)) throw impossible(name);
    return json_[name];
  }
  std::string text(const char* name) const {
    const nlohmann::json& value = at(name);
    if (!value.is_string() || value.get_ref<const std::string&>().size() > 256) throw impossible(name);
    return value.get<std::string>();
  }
  std::int64_t integer(const char* name, std::int64_t low, std::int64_t high) const {
    const nlohmann::json& value = at(name);
    if (!value.is_number_integer() || value < low || value > high) throw impossible(name);
    return value.get<std::int64_t>();
  }
  double real(const char* name, double low, double high) const { return real_of(at(name), name, low, high); }
  bool flag(const char* name) const {
    if (!at(name).is_boolean()) throw impossible(name);
    return at(name).get<bool>();
  }
  std::array<double, 3> three(const char* name, double low, double high) const {
    const nlohmann::json& value = at(name);
    if (!value.is_array() || value.size() != 3) throw impossible(name);
    return {real_of(value[0], name, low, high), real_of(value[1], name, low, high), real_of(value[2], name, low, high)};
  }
  bool has(const char* name) const { return json_.contains(name); }
  const std::string& file() const { return file_; }
  DataError impossible(const std::string& name) const {
    return DataError(file_ + ": '" + name + "' of the network is missing or impossible");
  }

 private:
  double real_of(const nlohmann::json& value, const char* name, double low, double high) const {
    if (!value.is_number()) throw impossible(name);
    const double number = value.get<double>();
    if (!(number >= low && number <= high)) throw impossible(name);
    return number;
  }

  const nlohmann::json& json_;
  const std::string& file_;
};

features::Window window_from(const Fields& fields) {
  features::Window window = {.kernel = fields.integer("kernel", 1, 64), .stride = fields.integer("stride", 1, 64)};
  window.padding = fields.integer("padding", 0, window.kernel / 2);
  window.ceil_mode = fields.has("ceil") && fields.flag("ceil");
  return window;
}

constexpr std::int64_t kMostChannels = 1 << 16;

features::ConvolutionLayer convolution_from(const Fields& fields) {
  features::ConvolutionLayer layer = {.name = fields.text("name"),
                                      .channels = fields.integer("channels", 1, kMostChannels),
                                      .window = window_from(fields),
                                      .bias = fields.flag("bias")};
  if (layer.window.ceil_mode) throw fields.impossible("ceil");
  if (fields.has("batch_norm")) {
    layer.batch_norm = fields.text("batch_norm");
    layer.batch_norm_epsilon = fields.real("batch_norm_epsilon", 0, 1);
  }
  return layer;
}

std::vector<Layer> layers_from(const nlohmann::json& node, const Fields& owner, int depth);

features::ConcatLayer concat_from(const Fields& fields, int depth) {
  features::ConcatLayer layer;
  const nlohmann::json& branches = fields.at("branches");
  if (!branches.is_array() || branches.size() > 64) throw fields.impossible("branches");
  for (const nlohmann::json& branch : branches) layer.branches.push_back(layers_from(branch, fields, depth));
  return layer;
}

Layer layer_from(const nlohmann::json& node, const std::string& file, int depth) {
  if (!node.is_object() || node.size() != 1) throw DataError(file + ": a layer of the network is not one named object");
  const std::string kind = node.begin().key();
  const Fields fields(node.begin().value(), file);
  if (kind == "convolution") return convolution_from(fields);
  if (kind == "relu") return features::ReluLayer{};
  if (kind == "max_pool") return features::MaxPoolLayer{window_from(fields)};
  if (kind == "average_pool") return features::AveragePoolLayer{window_from(fields)};
  if (kind == "response_norm") {
    return features::ResponseNormLayer{.channels = fields.integer("channels", 1, 1024),
                                       .alpha = fields.real("alpha", 0, 1e6),
                                       .beta = fields.real("beta", 0, 16),
                                       .k = fields.real("k", 1e-6, 1e6)};
  }
  if (kind == "sum") {
    return features::ResidualLayer{layers_from(fields.at("residual"), fields, depth),
                                   layers_from(fields.at("shortcut"), fields, depth)};
  }
  if (kind == "concat") return concat_from(fields, depth);
  throw DataError(file + ": a layer of the network is of a kind that this version does not know");
}

std::vector<Layer> layers_from(const nlohmann::json& node, const Fields& owner, int depth) {
  constexpr std::size_t kMostLayers = 4096;
  constexpr int kDeepest = 8;
  if (!node.is_array() || node.size() > kMostLayers || depth > kDeepest) throw owner.impossible("layers");
  std::vector<Layer> layers;
  for (const nlohmann::json& layer : node) layers.push_back(layer_from(layer, owner.file(), depth + 1));
  return layers;
}

nlohmann::json convention_to_json(const features::Convention& c) {
  return {{"name", c.name},
          {"divisor", c.divisor},
          {"subtracts_exemplars_mean", c.subtracts_exemplars_mean},
          {"mean_rgb", c.mean_rgb},
          {"deviation_rgb", c.deviation_rgb},
          {"planes_are_bgr", c.planes_are_bgr},
          {"pools_unpadded", c.pools_unpadded},
          {"pools_ceil", c.pools_ceil},
          {"strides_first", c.strides_first},
          {"batch_norm_folded", c.batch_norm_folded},
          {"response_norm", c.response_norm}};
}

features::Convention convention_from(const Fields& fields) {
  return {.name = fields.text("name"),
          .divisor = fields.real("divisor", 1e-6, 1e6),
          .subtracts_exemplars_mean = fields.flag("subtracts_exemplars_mean"),
          .mean_rgb = fields.three("mean_rgb", -1e6, 1e6),
          .deviation_rgb = fields.three("deviation_rgb", 1e-6, 1e6),
          .planes_are_bgr = fields.flag("planes_are_bgr"),
          .pools_unpadded = fields.flag("pools_unpadded"),
          .pools_ceil = fields.flag("pools_ceil"),
          .strides_first = fields.flag("strides_first"),
          .batch_norm_folded = fields.flag("batch_norm_folded"),
          .response_norm = fields.flag("response_norm")};
}

}  // namespace

nlohmann::json network_to_json(const features::Network& network) {
  return {{"convention", convention_to_json(network.convention)}, {"layers", layers_to_json(network.layers)}};
}

features::Network network_from_json(const nlohmann::json& node, const std::string& file) {
  const Fields fields(node, file);
  features::Network network = {convention_from(Fields(fields.at("convention"), file)),
                               layers_from(fields.at("layers"), fields, 0)};
  if (network.layers.empty() || !std::holds_alternative<features::ConvolutionLayer>(network.layers.front())) {
    throw DataError(file + ": its network does not begin with a convolution");
  }
  try {
    derive(network.layers, {.geometry = {.channels = 3}});
  } catch (const DataError& error) {
    throw DataError(file + ": " + error.what());
  }
  return network;
}

}  // namespace outsole::retrieval
