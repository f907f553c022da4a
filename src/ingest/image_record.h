#pragma once
// From a decoded file to the record of a store, and back to an image, for every kind of record that holds one.

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/checked.h"
#include "core/errors.h"
#include "image/image.h"
#include "ingest/image_sources.h"

namespace outsole::ingest {

static_assert(std::endian::native == std::endian::little,
              "16-bit pixels are stored low byte first and copied as they are");

/// The fields that every image record has.
template <typename Record>
Record image_record(const ImageSource& source, const image::DecodedImage& image) {
  const cv::Mat grey = image.grey.isContinuous() ? image.grey : image.grey.clone();
  Record record;
  record.id = source.id;
  record.height_px = grey.rows;
  record.width_px = grey.cols;
  record.bit_depth = static_cast<std::int32_t>(8 * grey.elemSize());
  record.was_colour = image.was_colour;
  record.source_sha256 = image.source_sha256;
  record.metadata = source.metadata;
  record.pixels.assign(grey.data, grey.data + grey.total() * grey.elemSize());
  return record;
}

/// The record's pixels as its file held them, CV_8UC1 or CV_16UC1. Shares no memory with the record.
template <typename Record>
cv::Mat stored_image(const Record& record) {
  cv::Mat image(record.height_px, record.width_px, record.bit_depth == 16 ? CV_16UC1 : CV_8UC1);
  ensure(record.pixels.size() == image.total() * image.elemSize(), "a record has as many pixels as its size says");
  std::memcpy(image.data, record.pixels.data(), record.pixels.size());
  return image;
}

/// Bytes of a record, one a pixel, as an image. Shares no memory with the record.
inline cv::Mat1b byte_image(const std::vector<std::uint8_t>& bytes, std::int64_t height_px, std::int64_t width_px) {
  cv::Mat1b image(narrow<int>(height_px), narrow<int>(width_px));
  ensure(bytes.size() == image.total(), "an image has as many bytes as its size says");
  std::memcpy(image.data, bytes.data(), bytes.size());
  return image;
}

/// Odd where the file is believed to say another resolution than the manifest.
inline image::Oddity contradiction_of(std::optional<double> manifest_dpi, double file_dpi) {
  if (!manifest_dpi || file_dpi <= 0 || std::abs(file_dpi - *manifest_dpi) <= 0.01 * *manifest_dpi) return {};
  std::array<char, 64> detail{};
  std::snprintf(detail.data(), detail.size(), "%.1f dpi, manifest %.1f", file_dpi, *manifest_dpi);
  return {"the file says another resolution than the manifest, which counts", detail.data()};
}

/// Takes a column of the manifest out of the metadata; empty where it is missing.
inline std::string take_text(nlohmann::json& metadata, const std::string& column) {
  const auto found = metadata.find(column);
  if (found == metadata.end()) return {};
  const std::string text = found->get<std::string>();
  metadata.erase(found);
  return text;
}

}  // namespace outsole::ingest
