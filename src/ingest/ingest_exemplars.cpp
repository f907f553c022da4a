#include "ingest/ingest_exemplars.h"

#include <charconv>
#include <cmath>
#include <optional>

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

/// Takes the column `dpi` out of the metadata; nothing where the row does not say. Throws DataError for what no scanner
/// has.
std::optional<double> take_dpi(const ImageSource& source, nlohmann::json& metadata) {
  const std::string text = take_text(metadata, "dpi");
  if (text.empty()) return std::nullopt;
  double dpi = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), dpi);
  const bool is_number = error == std::errc() && end == text.data() + text.size();
  if (is_number && dpi >= image::kLeastDpi && dpi <= image::kMostDpi) return dpi;
  throw DataError(source.manifest_row + ": dpi is '" + text + "', not a number from " +
                  std::to_string(std::lround(image::kLeastDpi)) + " to " +
                  std::to_string(std::lround(image::kMostDpi)) + "; leave it empty where it is not known");
}

void check(const ImageSource& source) {
  nlohmann::json metadata = source.metadata;
  take_mirror(source, metadata);
  take_dpi(source, metadata);
}

Oddity oddity_of(const ImageSource& source, const image::DecodedImage& image) {
  nlohmann::json metadata = source.metadata;
  return contradiction_of(take_dpi(source, metadata), image.dpi);
}

store::Columns row(const ImageSource& source, const image::DecodedImage* image) {
  if (image == nullptr) return ingest::exemplar_columns({});
  auto record = image_record<ExemplarRecord>(source, *image);
  record.mirror = take_mirror(source, record.metadata);
  record.dpi = take_dpi(source, record.metadata).value_or(image->dpi);
  return ingest::exemplar_columns(std::span(&record, 1));
}

}  // namespace

IngestKind exemplar_kind() {
  IngestKind kind;
  kind.schema = kExemplarsSchema;
  kind.version = kExemplarsVersion;
  kind.columns = {"mirror", "dpi"};
  kind.check = check;
  kind.row = row;
  kind.oddity = oddity_of;
  return kind;
}

}  // namespace outsole::ingest
