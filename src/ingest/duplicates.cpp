#include "ingest/duplicates.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <tuple>
#include <utility>

#include "core/sha256.h"
#include "store/image_rows.h"

namespace outsole::ingest {

namespace {

using Shape = std::tuple<std::int32_t, std::int32_t, std::int32_t>;  // height, width, bit depth

/// Images that are one, by position: the first of them stands for all.
class Equals {
 public:
  explicit Equals(std::size_t count) : first_(count) { std::iota(first_.begin(), first_.end(), std::size_t{0}); }
  void join(std::size_t a, std::size_t b) {
    const auto [first, other] = std::minmax({first_of(a), first_of(b)});
    first_[other] = first;
  }
  std::size_t first_of(std::size_t i) const {
    while (first_[i] != i) i = first_[i];
    return i;
  }

 private:
  std::vector<std::size_t> first_;
};

template <typename Key>
void join_equal(const std::vector<Key>& keys, const Key& none, Equals& equals) {
  std::map<Key, std::size_t> first;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] != none) equals.join(first.emplace(keys[i], i).first->second, i);
  }
}

/// Of each image its shape and the digest of its pixels, if that is known or can be had.
std::vector<std::pair<Shape, std::string>> pixels_of(const store::Store& store, const std::vector<std::string>& ids,
                                                     const std::map<std::string, std::string>& digests,
                                                     std::int64_t most_bytes) {
  const auto heights = store::read_values<std::int32_t>(store, "height_px"),
             widths = store::read_values<std::int32_t>(store, "width_px"),
             depths = store::read_values<std::int32_t>(store, "bit_depth");
  std::map<Shape, std::int64_t> images_of_shape;
  const std::vector<std::string> stored = stored_pixels_digests(store);
  std::vector<std::pair<Shape, std::string>> pixels;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    pixels.push_back({{heights[i], widths[i], depths[i]}, {}});
    if (!stored.empty()) {
      pixels.back().second = stored[i];
    } else if (const auto known = digests.find(ids[i]); known != digests.end()) {
      pixels.back().second = known->second;
    }
    ++images_of_shape[pixels.back().first];
  }
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto bytes = std::int64_t{heights[i]} * widths[i] * (depths[i] / 8);
    if (!pixels[i].second.empty() || images_of_shape[pixels[i].first] < 2 || bytes > most_bytes) continue;
    most_bytes -= bytes;
    const auto own = store::read_values<std::uint8_t>(store, "pixels", static_cast<std::int64_t>(i), 1);
    pixels[i].second = sha256_of(std::as_bytes(std::span(own)));
  }
  return pixels;
}

}  // namespace

std::vector<std::string> stored_pixels_digests(const store::Store& store) {
  if (!store.has(kPixelsDigests)) return {};
  const auto bytes = store::read_values<std::uint8_t>(store, kPixelsDigests);
  std::vector<std::string> digests;
  for (std::size_t at = 0; at < bytes.size(); at += kPixelsDigestBytes) {
    digests.emplace_back(reinterpret_cast<const char*>(bytes.data()) + at, kPixelsDigestBytes);
  }
  return digests;
}

std::vector<std::vector<std::string>> find_duplicates(const store::Store& store,
                                                      const std::map<std::string, std::string>& digests,
                                                      std::int64_t most_bytes) {
  const auto ids = store::read_values<std::string>(store, "id");
  Equals equals(ids.size());
  join_equal(store::read_values<std::string>(store, "source_sha256"), std::string(), equals);
  std::vector<std::pair<Shape, std::string>> pixels = pixels_of(store, ids, digests, most_bytes);
  const std::pair<Shape, std::string> unknown;
  for (auto& image : pixels) {
    if (image.second.empty()) image = unknown;
  }
  join_equal(pixels, unknown, equals);
  std::map<std::size_t, std::vector<std::string>> groups;
  for (std::size_t i = 0; i < ids.size(); ++i) groups[equals.first_of(i)].push_back(ids[i]);
  std::vector<std::vector<std::string>> duplicates;
  for (auto& [first, group] : groups) {
    if (group.size() > 1) duplicates.push_back(std::move(group));
  }
  return duplicates;
}

}  // namespace outsole::ingest
