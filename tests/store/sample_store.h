#pragma once
// Small stores that the tests write, damage and read.

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "core/files.h"
#include "core/sha256.h"
#include "store/store.h"

namespace outsole::store {

namespace fs = std::filesystem;

/// A folder of its own for each test, removed after it.
class StoreTest : public ::testing::Test {
 protected:
  StoreTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / ("outsole_" + std::to_string(getpid()) + "_" + test->name());
    fs::create_directories(folder_);
  }
  ~StoreTest() override { fs::remove_all(folder_); }

  fs::path folder_;
};

/// Images of `rows` different sizes, none with the same content; `first` sets them apart from those of other units.
inline Columns sample_images(std::int64_t first, std::int64_t rows) {
  std::vector<std::string> id, sha;
  std::vector<std::int32_t> height, width, depth;
  std::vector<std::uint8_t> colour, mirror, metadata, pixels;
  std::vector<std::int64_t> metadata_lengths, pixel_lengths;
  for (std::int64_t row = first; row < first + rows; ++row) {
    id.push_back("Sohle-ü-" + std::to_string(row));
    sha.push_back(sha256_of(std::as_bytes(std::span(id.back()))));
    height.push_back(static_cast<std::int32_t>(3 + row % 5));
    width.push_back(static_cast<std::int32_t>(2 + row % 3));
    depth.push_back(8);
    colour.push_back(row % 2 == 0);
    mirror.push_back(row % 3 == 0);
    const std::string json = row % 4 == 0 ? "{}" : "{\"row\":" + std::to_string(row) + "}";
    metadata.insert(metadata.end(), json.begin(), json.end());
    metadata_lengths.push_back(std::ssize(json));
    pixel_lengths.push_back(height.back() * width.back());
    for (std::int64_t i = 0; i < pixel_lengths.back(); ++i)
      pixels.push_back(static_cast<std::uint8_t>(row * 31 + i * 7));
  }
  const std::vector<std::int64_t> shape{rows};
  return {{"id", {shape, id, {}}},
          {"height_px", {shape, height, {}}},
          {"width_px", {shape, width, {}}},
          {"bit_depth", {shape, depth, {}}},
          {"was_colour", {shape, colour, {}}},
          {"mirror", {shape, mirror, {}}},
          {"source_sha256", {shape, sha, {}}},
          {"metadata", {shape, metadata, metadata_lengths}},
          {"pixels", {shape, pixels, pixel_lengths}}};
}

inline StoreHeader sample_header() {
  return {"outsole.exemplars", 1, {{"where", "week=4"}, {"inputs_sha256", "00ff"}, {"count", 3}}};
}

/// Writes three units of 4, 0 and 3 images, in the given order of units.
inline void write_sample(const fs::path& path, const std::vector<std::int64_t>& order = {0, 1, 2}) {
  StoreWriter writer(path, sample_header(), 3, true);
  for (const std::int64_t unit : order) {
    if (!writer.has_unit(unit)) writer.write_unit(unit, sample_images(unit * 10, unit == 0 ? 4 : unit == 1 ? 0 : 3));
  }
  writer.finish();
}

template <typename Element>
const std::vector<Element>& elements(const Column& column) {
  return std::get<std::vector<Element>>(column.values);
}

inline void flip_byte(const fs::path& path, std::int64_t position) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(position);
  const char byte = static_cast<char>(file.get() ^ 0x20);
  file.seekp(position);
  file.put(byte);
}

inline void write_text(const fs::path& path, const std::string& text) { std::ofstream(path, std::ios::binary) << text; }

/// Writes anew the SHA-256 that a view carries of itself, as one who forges a store would.
inline void reseal(const fs::path& view) {
  std::string bytes = read_text_file(view);
  const std::string sha256 = sha256_of(std::as_bytes(std::span(bytes)).subspan(512));
  bytes.replace(bytes.find("512: ") + 5, sha256.size(), sha256);
  write_text(view, bytes);
}

/// The message of the Kind of error that `work` throws; fails the test when it does not.
template <typename Kind, typename Work>
std::string message_of(Work work) {
  try {
    work();
  } catch (const Kind& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another error: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no error";
  return "";
}

}  // namespace outsole::store
