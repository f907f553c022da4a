#include "report/agreement.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <opencv2/imgproc.hpp>

#include "core/csv.h"
#include "core/errors.h"
#include "image/image.h"
#include "ingest/image_record.h"
#include "ingest/scans.h"
#include "report/draw.h"
#include "wear/prepared.h"

namespace outsole::report {

namespace {

constexpr double kPxPerMm = 2, kMmAnInch = 25.4;

/// A reduced image and where it is known.
struct Reduced {
  cv::Mat1f grey;
  cv::Mat1b support;
};

Reduced reduced(const cv::Mat1f& grey, const cv::Mat1b& support, double dpi) {
  const double factor = std::min(1.0, kPxPerMm * kMmAnInch / dpi);
  const cv::Size size(std::max(1, static_cast<int>(std::lround(grey.cols * factor))),
                      std::max(1, static_cast<int>(std::lround(grey.rows * factor))));
  Reduced result;
  cv::resize(grey, result.grey, size, 0, 0, cv::INTER_AREA);
  cv::resize(support, result.support, size, 0, 0, cv::INTER_AREA);
  result.support = result.support == 255;
  return result;
}

/// The part of an image of `size` that lies under one of `other`, middle on middle.
cv::Rect common_part(cv::Size size, cv::Size other) {
  const cv::Size common(std::min(size.width, other.width), std::min(size.height, other.height));
  return {{(size.width - common.width) / 2, (size.height - common.height) / 2}, common};
}

double correlation(const Reduced& a, const Reduced& b) {
  const cv::Rect in_a = common_part(a.grey.size(), b.grey.size()), in_b = common_part(b.grey.size(), a.grey.size());
  const cv::Mat1b both = a.support(in_a) & b.support(in_b);
  const cv::Mat1f x = a.grey(in_a), y = b.grey(in_b);
  cv::Scalar mean_x, mean_y, deviation_x, deviation_y;
  cv::meanStdDev(x, mean_x, deviation_x, both);
  cv::meanStdDev(y, mean_y, deviation_y, both);
  if (!(deviation_x[0] > 0 && deviation_y[0] > 0)) return 0;
  const double mean_product = cv::mean(x.mul(y), both)[0];
  return (mean_product - mean_x[0] * mean_y[0]) / (deviation_x[0] * deviation_y[0]);
}

/// One scan as it came and as it was prepared.
struct ReducedPair {
  Reduced before, after;
};

/// Looks scans up by their ids.
std::map<std::string, std::int64_t> places_of(const ingest::ScanStore& scans) {
  std::map<std::string, std::int64_t> places;
  for (const ingest::ScanInfo& scan : scans.scans()) places.emplace(scan.id, std::ssize(places));
  return places;
}

ReducedPair read_both(const ingest::ScanStore& scans, std::int64_t place, const wear::PreparedStore& prepared,
                      std::int64_t row) {
  const auto& parameters = prepared.store().header().parameters;
  const wear::PreparedInfo& info = prepared.scans()[static_cast<std::size_t>(row)];
  const cv::Mat1f scan = image::to_float(ingest::stored_image(scans.record(place)));
  const cv::Rect window(info.window_x_px, info.window_y_px, info.window_width_px, info.window_height_px);
  if ((window & cv::Rect({0, 0}, scan.size())) != window || window.empty()) {
    throw DataError(prepared.store().path().string() + ": scan '" + info.id + "' has a window outside of its pixels");
  }
  ReducedPair pair;
  pair.before = reduced(scan(window), cv::Mat1b(window.size(), uchar{255}), parameters.at("scan_dpi"));
  const wear::PreparedRecord record = prepared.record(row);
  const auto as_image = [&](const std::vector<std::uint8_t>& bytes) {
    return ingest::byte_image(bytes, prepared.height_px(), prepared.width_px());
  };
  pair.after = reduced(image::to_float(as_image(record.pixels)), as_image(record.support), parameters.at("dpi"));
  return pair;
}

void add_pairs_of_shoe(const ingest::ScanStore& scans, const std::map<std::string, std::int64_t>& places,
                       const wear::PreparedStore& prepared, const std::vector<std::int64_t>& rows,
                       std::vector<ScanPair>& pairs) {
  std::vector<ReducedPair> images;
  for (const std::int64_t row : rows) {
    const std::string& id = prepared.scans()[static_cast<std::size_t>(row)].id;
    const auto place = places.find(id);
    if (place == places.end()) throw DataError(scans.store().path().string() + ": has no scan '" + id + "'");
    images.push_back(read_both(scans, place->second, prepared, row));
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = i + 1; j < rows.size(); ++j) {
      const wear::PreparedInfo &a = prepared.scans()[static_cast<std::size_t>(rows[i])],
                               &b = prepared.scans()[static_cast<std::size_t>(rows[j])];
      pairs.push_back({a.subject.shoe, a.id, b.id, std::abs(a.subject.week - b.subject.week),
                       correlation(images[i].before, images[j].before), correlation(images[i].after, images[j].after)});
    }
  }
}

}  // namespace

std::vector<ScanPair> scan_agreement(const std::filesystem::path& scans, const std::filesystem::path& prepared) {
  const ingest::ScanStore scan_store(scans);
  const wear::PreparedStore prepared_store(prepared);
  const auto places = places_of(scan_store);
  std::map<std::string, std::vector<std::int64_t>> rows_of_shoe;
  for (std::int64_t row = 0; row < prepared_store.size(); ++row) {
    const wear::PreparedInfo& info = prepared_store.scans()[static_cast<std::size_t>(row)];
    if (info.flag.empty()) rows_of_shoe[info.subject.shoe].push_back(row);
  }
  std::vector<ScanPair> pairs;
  for (const auto& [shoe, rows] : rows_of_shoe) add_pairs_of_shoe(scan_store, places, prepared_store, rows, pairs);
  return pairs;
}

std::string agreement_csv(const std::vector<ScanPair>& pairs) {
  std::string text = "shoe,first,second,weeks_apart,before,after\n";
  for (const ScanPair& pair : pairs) {
    std::array<char, 80> numbers{};
    std::snprintf(numbers.data(), numbers.size(), "%.4f,%.4f,%.4f\n", pair.weeks_apart, pair.before, pair.after);
    text += csv_field(pair.shoe) + "," + csv_field(pair.first) + "," + csv_field(pair.second) + "," + numbers.data();
  }
  return text;
}

cv::Mat3b agreement_picture(const std::vector<ScanPair>& pairs) {
  constexpr int kLeft = 130, kWidth = 640, kRight = 30, kTop = 60, kRowHeight = 44, kBottom = 50;
  const cv::Scalar kGrid(225, 225, 225), kBefore(170, 170, 170), kReplicates(178, 114, 0), kVisits(0, 94, 213);
  std::map<std::string, int> row_of_shoe;
  for (const ScanPair& pair : pairs) row_of_shoe.emplace(pair.shoe, 0);
  int rows = 0;
  for (auto& [shoe, row] : row_of_shoe) row = rows++;
  cv::Mat3b picture(kTop + rows * kRowHeight + kBottom, kLeft + kWidth + kRight, cv::Vec3b(255, 255, 255));
  double least = 0;
  for (const ScanPair& pair : pairs) least = std::min({least, pair.before, pair.after});
  least = std::floor(least * 5) / 5;
  const auto x_of = [&](double value) {
    return kLeft + static_cast<int>(std::lround(kWidth * (value - least) / (1 - least)));
  };
  for (int tick = static_cast<int>(std::lround(least * 5)); tick <= 5; ++tick) {
    const int x = x_of(tick / 5.0);
    cv::line(picture, {x, kTop - 6}, {x, kTop + rows * kRowHeight}, kGrid, 1);
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%.1f", tick / 5.0);
    put_text(picture, text.data(), x - 11, kTop + rows * kRowHeight + 18, kText, 0.42);
  }
  put_text(picture, "normalized correlation of two scans of one outsole", kLeft + 130, picture.rows - 12, kText);
  const auto legend = [&](int x, const cv::Scalar& colour, const char* text) {
    cv::circle(picture, {x, 24}, 5, colour, cv::FILLED, cv::LINE_AA);
    put_text(picture, text, x + 10, 29, kText, 0.42);
  };
  legend(kLeft, kBefore, "before");
  legend(kLeft + 110, kReplicates, "after: replicates of a visit");
  legend(kLeft + 350, kVisits, "after: between visits");
  for (const auto& [shoe, row] : row_of_shoe) {
    put_text(picture, printable(shoe, 14), 14, kTop + row * kRowHeight + kRowHeight / 2 + 4, kText);
  }
  for (const ScanPair& pair : pairs) {
    const bool is_replicate = pair.weeks_apart == 0;
    const int y = kTop + row_of_shoe.at(pair.shoe) * kRowHeight + (is_replicate ? 13 : 30);
    cv::circle(picture, {x_of(pair.before), y}, 4, kBefore, 1, cv::LINE_AA);
    cv::circle(picture, {x_of(pair.after), y}, 4, is_replicate ? kReplicates : kVisits, cv::FILLED, cv::LINE_AA);
  }
  return picture;
}

}  // namespace outsole::report
