#pragma once
// The layouts of data_schemas/, and whether data sets fit them.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "store/values.h"

namespace outsole::store {

/// One data set of a schema. `shape` holds symbols ("channels"), whole numbers ("3"), and "*" last in ragged ones.
struct DatasetSchema {
  std::string name;
  std::vector<ElementType> types;  // one of them
  std::vector<std::string> shape;
  bool by_row = false;  // in the shards; otherwise in the view
  bool ragged = false;
  bool compress = false;
  bool optional = false;
  std::string description = {}, unit = {};  // for other programs' readers; the unit may be empty
};

/// One version of a layout.
struct Schema {
  std::string name;
  std::int32_t version = 0;
  std::string rows;  // the symbol of the rows
  std::vector<DatasetSchema> datasets;

  /// The data set of that name, or nullptr.
  const DatasetSchema* find(std::string_view dataset) const;
};

/// Reads a schema's JSON; throws Bug when it breaks the notation of data_schemas/README.md.
Schema parse_schema(std::string_view json);

/// The schema a file claims to follow; throws DataError naming `where` and what is known when there is none.
const Schema& find_schema(const std::string& name, std::int64_t version, const std::string& where);

/// Type and shape of a data set that exists; the second length of a ragged one is -1.
struct DatasetLayout {
  ElementType type;
  std::vector<std::int64_t> shape;
  bool operator==(const DatasetLayout&) const = default;
};
using Layout = std::map<std::string, DatasetLayout>;

/// Sizes that a schema's symbols have in one file.
using Symbols = std::map<std::string, std::int64_t>;

enum class Part { kRows, kWhole };

/// What keeps the data sets of one part from fitting the schema, naming the data set; empty when they fit. Symbols
/// bound earlier must keep their size, new ones are added.
std::string misfit(const Schema& schema, Part part, const Layout& layout, Symbols& symbols);

/// Generated from data_schemas/ by the build: the text of every schema.
std::vector<std::string_view> embedded_schemas();

}  // namespace outsole::store
