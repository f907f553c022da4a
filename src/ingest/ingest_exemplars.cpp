#include "ingest/ingest_exemplars.h"

#include "core/errors.h"
#include "core/folded.h"
#include "ingest/exemplars.h"
#include "ingest/image_record.h"

namespace outsole::ingest {

namespace {

/// Takes the column `mirror` out of the metadata; throws DataError when it is neither 0 nor 1, nor what spreadsheets
/// and data frames write in their place.
bool take_mirror(const ImageSource& source, nlohmann::json& metadata) {
  const std::string text = take_text(metadata, "mirror"), value = folded(text);
  if (value == "1" || value == "1.0" || value == "true") return true;
  if (value.empty() || value == "0" || value == "0.0" || value == "false") return false;
  throw DataError(source.manifest_row + ": mirror is '" + text + "', neither 0 nor 1");
}

void check(const ImageSource& source) {
  nlohmann::json metadata = source.metadata;
  take_mirror(source, metadata);
}

store::Columns row(const ImageSource& source, const image::DecodedImage* image) {
  if (image == nullptr) return ingest::exemplar_columns({});
  auto record = image_record<ExemplarRecord>(source, *image);
  record.mirror = take_mirror(source, record.metadata);
  return ingest::exemplar_columns(std::span(&record, 1));
}

}  // namespace

IngestKind exemplar_kind() {
  IngestKind kind;
  kind.schema = kExemplarsSchema;
  kind.columns = {"mirror"};
  kind.check = check;
  kind.row = row;
  return kind;
}

}  // namespace outsole::ingest
