#include "ingest/ingest_scans.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "core/errors.h"
#include "core/folded.h"
#include "ingest/exemplars.h"
#include "ingest/image_record.h"
#include "ingest/scan_checks.h"
#include "ingest/scans.h"

namespace outsole::ingest {

namespace {

/// What the manifest says of a scan.
struct ScanFacts {
  ScanSubject subject;
  std::optional<double> dpi;
};

/// Takes facts out of the columns of one manifest row.
class RowReader {
 public:
  RowReader(const ImageSource& source, nlohmann::json& metadata) : source_(source), metadata_(metadata) {}

  std::string text(const std::string& column) {
    if (source_.manifest_row.empty()) {
      throw DataError(source_.file.string() +
                      ": the manifest has no row for it; a scan needs shoe, pair, foot and week");
    }
    if (!metadata_.contains(column)) fail("no column '" + column + "'; a scan needs shoe, pair, foot and week");
    const std::string value = take_text(metadata_, column);
    if (value.empty()) fail(column + " is empty");
    if (value.size() > kMaxIdBytes) {
      fail(column + " is longer than " + std::to_string(kMaxIdBytes) + " bytes");
    }
    return value;
  }

  /// A number in [least, most].
  double number(const std::string& column, double least, double most) {
    const std::string value = text(column);
    double result = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), result);
    if (error != std::errc() || end != value.data() + value.size() || !(result >= least && result <= most)) {
      fail(column + " is '" + value + "', not a number from " + std::to_string(least) + " to " + std::to_string(most) +
           spoilt(value, result));
    }
    return result;
  }

  std::string foot() {
    const std::string value = text("foot"), name = folded(value);
    if (name == "l" || name == "left") return "L";
    if (name == "r" || name == "right") return "R";
    fail("foot is '" + value + "', not L, R, left or right");
  }

 private:
  /// What a spreadsheet may have made of a number; `result` is what could be read of it.
  static std::string spoilt(const std::string& value, double result) {
    constexpr double kFirstDate = 20000, kLastDate = 73000;
    if (result >= kFirstDate && result <= kLastDate) return "; a spreadsheet may have made it of a date";
    if (value.find(',') != std::string::npos) return "; write decimals with a point";
    return "";
  }

  [[noreturn]] void fail(const std::string& what) const { throw DataError(source_.manifest_row + ": " + what); }

  const ImageSource& source_;
  nlohmann::json& metadata_;
};

/// Takes what is known by name out of the metadata; DataError naming the manifest's row when it is not as it must be.
ScanFacts take_facts(const ImageSource& source, const std::string& week_column, nlohmann::json& metadata) {
  constexpr double kMostWeeks = 5200, kMostDpi = 1e5;  // a century
  RowReader row(source, metadata);
  ScanFacts facts;
  facts.subject.shoe = row.text("shoe");
  facts.subject.pair = row.text("pair");
  facts.subject.foot = row.foot();
  facts.subject.week = row.number(week_column, 0, kMostWeeks);
  if (metadata.contains("dpi")) facts.dpi = row.number("dpi", 1, kMostDpi);
  return facts;
}

Oddity oddity_of(const ImageSource& source, const image::DecodedImage& image, const std::string& week_column) {
  nlohmann::json metadata = source.metadata;
  return contradiction_of(take_facts(source, week_column, metadata).dpi, image.dpi);
}

store::Columns row(const ImageSource& source, const image::DecodedImage* image, const std::string& week_column) {
  if (image == nullptr) return ingest::scan_columns({});
  auto record = image_record<ScanRecord>(source, *image);
  ScanFacts facts = take_facts(source, week_column, record.metadata);
  record.dpi = facts.dpi.value_or(image->dpi);
  record.subject = std::move(facts.subject);
  return ingest::scan_columns(std::span(&record, 1));
}

/// Gives scans of a manifest without weeks what their dates say, or the week of a single visit.
std::vector<std::string> complete_weeks(std::span<ImageSource> sources, const std::string& week_column) {
  const auto has_week = [&](const ImageSource& source) { return source.metadata.contains(week_column); };
  if (std::ranges::any_of(sources, has_week)) return {};
  const auto dated = weeks_of_dates(sources);
  for (std::size_t i = 0; i < sources.size(); ++i) {
    if (!sources[i].manifest_row.empty()) sources[i].metadata[week_column] = dated ? dated->weeks[i] : "0";
  }
  if (dated) {
    return {"no column '" + week_column + "': weeks are counted from the first '" + dated->column + "' of each shoe"};
  }
  return {"no column '" + week_column + "' and none of dates: all scans are of one visit, week 0"};
}

}  // namespace

IngestKind scan_kind(const std::string& week_column, bool may_lack_weeks) {
  IngestKind kind;
  kind.schema = kScansSchema;
  kind.parameters["week_column"] = week_column;
  kind.columns = {"shoe", "pair", "foot", week_column, "dpi"};
  // A full-resolution scan is 75 MB of pixels, whatever its file has shrunk to: few of them make a unit.
  kind.min_unit_files = 4;
  kind.min_unit_bytes = std::int64_t{8} << 20;
  if (may_lack_weeks) {
    kind.complete = [week_column](std::span<ImageSource> sources) { return complete_weeks(sources, week_column); };
  }
  kind.check = [week_column](const ImageSource& source) {
    nlohmann::json metadata = source.metadata;
    take_facts(source, week_column, metadata);
  };
  kind.check_together = [week_column](std::span<const ImageSource> sources) {
    std::vector<ScanSubject> subjects;
    for (const ImageSource& source : sources) {
      nlohmann::json metadata = source.metadata;
      subjects.push_back(take_facts(source, week_column, metadata).subject);
    }
    return check_scans(sources, subjects);
  };
  kind.row = [week_column](const ImageSource& source, const image::DecodedImage* image) {
    return row(source, image, week_column);
  };
  kind.oddity = [week_column](const ImageSource& source, const image::DecodedImage& image) {
    return oddity_of(source, image, week_column);
  };
  return kind;
}

}  // namespace outsole::ingest
