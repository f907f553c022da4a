#include "store/schema.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/errors.h"

namespace outsole::store {

namespace {

DatasetSchema parse_dataset(const std::string& name, const nlohmann::json& json, const std::string& rows) {
  DatasetSchema dataset{.name = name, .types = {}, .shape = {}};
  const auto& types = json.at("type");
  for (const auto& type : types.is_array() ? types : nlohmann::json::array({types})) {
    dataset.types.push_back(element_type(type.get<std::string>()));
  }
  for (const auto& length : json.at("shape")) {
    dataset.shape.push_back(length.is_string() ? length.get<std::string>() : length.dump());
  }
  ensure(!dataset.types.empty() && !dataset.shape.empty() && dataset.shape.size() <= kMaxDimensions,
         "schema of data set '" + name + "': no type, or a shape of 0 or too many dimensions");
  dataset.by_row = dataset.shape.front() == rows;
  dataset.ragged = dataset.shape.back() == "*";
  ensure(!dataset.ragged || (dataset.by_row && dataset.shape.size() == 2),
         "schema of data set '" + name + "': a ragged shape is [rows, \"*\"]");
  dataset.compress = json.value("compress", false);
  dataset.optional = json.value("optional", false);
  dataset.description = json.value("description", "");
  dataset.unit = json.value("unit", "");
  return dataset;
}

const std::vector<Schema>& known_schemas() {
  static const std::vector<Schema> schemas = [] {
    std::vector<Schema> parsed;
    for (const std::string_view text : embedded_schemas()) parsed.push_back(parse_schema(text));
    return parsed;
  }();
  return schemas;
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text;
  for (const std::int64_t length : shape)
    text += (text.empty() ? "" : ", ") + (length < 0 ? "*" : std::to_string(length));
  return "[" + text + "]";
}

/// The size that `length` of a shape must have, if that is settled.
std::optional<std::int64_t> required_size(const std::string& length, const Symbols& symbols) {
  if (length == "*") return -1;
  if (const auto bound = symbols.find(length); bound != symbols.end()) return bound->second;
  std::int64_t fixed = 0;
  const auto [end, error] = std::from_chars(length.data(), length.data() + length.size(), fixed);
  if (error == std::errc() && end == length.data() + length.size()) return fixed;
  return std::nullopt;
}

std::string misfit(const DatasetSchema& schema, const DatasetLayout& layout, Symbols& symbols) {
  const std::string where = "data set '" + schema.name + "': ";
  if (std::find(schema.types.begin(), schema.types.end(), layout.type) == schema.types.end()) {
    std::string wanted;
    for (const ElementType& type : schema.types) wanted += (wanted.empty() ? "" : " or ") + type_name(type);
    return where + "of type " + type_name(layout.type) + " where the schema has " + wanted;
  }
  if (layout.shape.size() != schema.shape.size()) {
    return where + "shape " + shape_text(layout.shape) + " where the schema has " +
           std::to_string(schema.shape.size()) + " dimensions";
  }
  for (std::size_t i = 0; i < schema.shape.size(); ++i) {
    const std::string& length = schema.shape[i];
    const auto required = required_size(length, symbols);
    if (required && *required != layout.shape[i]) {
      return where + "shape " + shape_text(layout.shape) + ", but '" + length + "' is " + std::to_string(*required) +
             " here";
    }
    if (!required) symbols[length] = layout.shape[i];
  }
  return "";
}

}  // namespace

const DatasetSchema* Schema::find(std::string_view dataset) const {
  const auto found = std::find_if(datasets.begin(), datasets.end(),
                                  [&](const DatasetSchema& candidate) { return candidate.name == dataset; });
  return found == datasets.end() ? nullptr : &*found;
}

Schema parse_schema(std::string_view json) try {
  const auto root = nlohmann::json::parse(json);
  Schema schema{root.at("schema"), root.at("version"), root.at("rows"), {}};
  for (const auto& [name, dataset] : root.at("datasets").items()) {
    schema.datasets.push_back(parse_dataset(name, dataset, schema.rows));
  }
  return schema;
} catch (const nlohmann::json::exception& error) {
  throw Bug(std::string("a schema breaks the notation: ") + error.what());
}

const Schema& find_schema(const std::string& name, std::int64_t version, const std::string& where) {
  std::string names, versions;
  for (const Schema& schema : known_schemas()) {
    if (schema.name == name && schema.version == version) return schema;
    if (schema.name == name) versions += (versions.empty() ? "" : ", ") + std::to_string(schema.version);
    if (names.find(schema.name) == std::string::npos) names += (names.empty() ? "" : ", ") + schema.name;
  }
  if (versions.empty()) throw DataError(where + ": unknown schema '" + name + "'; known are " + names);
  throw DataError(where + ": version " + std::to_string(version) + " of schema '" + name +
                  "' is unknown; known versions: " + versions + ". A newer outsole may have written it.");
}

std::string misfit(const Schema& schema, Part part, const Layout& layout, Symbols& symbols) {
  for (const DatasetSchema& dataset : schema.datasets) {
    if (dataset.by_row != (part == Part::kRows)) continue;
    const auto found = layout.find(dataset.name);
    if (found == layout.end()) {
      if (!dataset.optional) return "data set '" + dataset.name + "' is missing";
      continue;
    }
    if (std::string complaint = misfit(dataset, found->second, symbols); !complaint.empty()) return complaint;
  }
  for (const auto& [name, dataset_layout] : layout) {
    const DatasetSchema* dataset = schema.find(name);
    if (dataset == nullptr || dataset->by_row != (part == Part::kRows)) {
      return "data set '" + name + "' does not belong there by schema '" + schema.name + "'";
    }
  }
  return "";
}

}  // namespace outsole::store
