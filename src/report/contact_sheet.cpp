#include "report/contact_sheet.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <memory>
#include <opencv2/imgproc.hpp>

#include "core/checked.h"
#include "core/errors.h"
#include "image/image.h"
#include "ingest/exemplars.h"
#include "ingest/image_record.h"
#include "ingest/scans.h"
#include "report/draw.h"
#include "wear/prepared.h"

namespace outsole::report {

namespace {

constexpr int kImageHeight = 240, kImageWidth = 130, kCellGap = 8, kLinesHeight = 34, kColumns = 12;
const cv::Scalar kFlag(40, 40, 210), kCellEdge(200, 200, 200);
const cv::Vec3b kUnknown(225, 190, 160);

struct Thumbnail {
  cv::Mat3b image;
  std::array<std::string, 2> lines;
  bool is_flagged = false;
};

/// A picture of the row at that place of a store.
using Picture = std::function<Thumbnail(std::int64_t index)>;

cv::Mat3b in_colour(const cv::Mat& grey) {
  cv::Mat3b colour;
  cv::cvtColor(image::to_8_bit(grey), colour, cv::COLOR_GRAY2BGR);
  return colour;
}

/// Reduced to fit; never enlarged beyond its pixels.
cv::Mat3b fitted(const cv::Mat3b& image) {
  const double factor =
      std::min({1.0, static_cast<double>(kImageHeight) / image.rows, static_cast<double>(kImageWidth) / image.cols});
  cv::Mat3b result;
  const cv::Size size(std::max(1, static_cast<int>(image.cols * factor)),
                      std::max(1, static_cast<int>(image.rows * factor)));
  cv::resize(image, result, size, 0, 0, cv::INTER_AREA);
  return result;
}

std::string subject_line(const ingest::ScanSubject& subject) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%s, week %.1f", subject.foot.c_str(), subject.week);
  return text.data();
}

Thumbnail thumbnail_of(const wear::PreparedRecord& record, std::int64_t height_px, std::int64_t width_px) {
  cv::Mat3b colour = in_colour(ingest::byte_image(record.pixels, height_px, width_px));
  colour.setTo(kUnknown, ingest::byte_image(record.support, height_px, width_px) == 0);
  return {fitted(colour), {record.info.id, subject_line(record.info.subject)}, !record.info.flag.empty()};
}

/// How to picture the rows of a store, and how many there are.
struct Pictures {
  std::int64_t images = 0;
  Picture picture;
};

Pictures pictures_of(const std::filesystem::path& path) {
  const std::string schema = store::Store(path, "", store::Origin::kForeign).header().schema;
  if (schema == ingest::kExemplarsSchema) {
    const auto exemplars = std::make_shared<ingest::ExemplarStore>(path);
    return {exemplars->size(), [exemplars](std::int64_t i) {
              const ingest::ExemplarRecord record = exemplars->record(i);
              return Thumbnail{fitted(in_colour(ingest::stored_image(record))), {record.id, ""}, false};
            }};
  }
  if (schema == ingest::kScansSchema) {
    const auto scans = std::make_shared<ingest::ScanStore>(path);
    return {scans->size(), [scans](std::int64_t i) {
              const ingest::ScanRecord record = scans->record(i);
              return Thumbnail{
                  fitted(in_colour(ingest::stored_image(record))), {record.id, subject_line(record.subject)}, false};
            }};
  }
  if (schema == wear::kPreparedSchema) {
    const auto scans = std::make_shared<wear::PreparedStore>(path);
    return {scans->size(),
            [scans](std::int64_t i) { return thumbnail_of(scans->record(i), scans->height_px(), scans->width_px()); }};
  }
  throw DataError(path.string() + ": a store of schema '" + schema + "' holds no images to show");
}

void place(const Thumbnail& thumbnail, int left, int top, cv::Mat3b& picture) {
  const cv::Rect at(left + (kImageWidth - thumbnail.image.cols) / 2, top + (kImageHeight - thumbnail.image.rows),
                    thumbnail.image.cols, thumbnail.image.rows);
  thumbnail.image.copyTo(picture(at));
  const int border = thumbnail.is_flagged ? 3 : 1;
  cv::rectangle(picture, cv::Rect(at.x - border, at.y - border, at.width + 2 * border, at.height + 2 * border),
                thumbnail.is_flagged ? kFlag : kCellEdge, border);
  constexpr std::size_t kMostCharacters = 22;
  for (std::size_t i = 0; i < thumbnail.lines.size(); ++i) {
    // Ids of one set differ at their ends.
    const std::string& line = thumbnail.lines[i];
    const std::string end =
        line.size() > kMostCharacters ? ".." + line.substr(line.size() - kMostCharacters + 2) : line;
    put_text(picture, printable(end, kMostCharacters), left, top + kImageHeight + 14 + 14 * static_cast<int>(i),
             thumbnail.is_flagged ? kFlag : kText, 0.33);
  }
}

}  // namespace

ContactSheet contact_sheet(const std::filesystem::path& store, std::int64_t most) {
  const Pictures pictures = pictures_of(store);
  if (pictures.images == 0) throw DataError(store.string() + ": holds no image");
  ContactSheet sheet;
  sheet.images = pictures.images;
  const std::int64_t step = divide_up(sheet.images, most);
  sheet.shown = divide_up(sheet.images, step);
  const int columns = static_cast<int>(std::min<std::int64_t>(kColumns, sheet.shown));
  const int rows = static_cast<int>(divide_up(sheet.shown, columns));
  sheet.picture = cv::Mat3b(kCellGap + rows * (kImageHeight + kLinesHeight + kCellGap),
                            kCellGap + columns * (kImageWidth + kCellGap), cv::Vec3b(255, 255, 255));
  for (int i = 0; i < sheet.shown; ++i) {
    place(pictures.picture(i * step), kCellGap + (i % columns) * (kImageWidth + kCellGap),
          kCellGap + (i / columns) * (kImageHeight + kLinesHeight + kCellGap), sheet.picture);
  }
  return sheet;
}

}  // namespace outsole::report
