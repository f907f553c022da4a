#pragma once
// Images of a store that are one image: the same file, or the same pixels.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "store/store.h"

namespace outsole::ingest {

/// The data set [images, 32] in which a store may keep the SHA-256 of its images' pixels.
inline constexpr char kPixelsDigests[] = "pixels_sha256";
inline constexpr std::int64_t kPixelsDigestBytes = 32;

/// Of every image the SHA-256 of its pixels as 32 bytes; empty: the store does not keep them. One rank.
std::vector<std::string> stored_pixels_digests(const store::Store& store);

/// The ids of a store of images whose files (source_sha256) or pixels are equal, two or more together, in the order of
/// the store. Where the store keeps no SHA-256 of pixels, `digests` holds it, by id, as far as it is known; pixels of
/// other rows are read where another image is of the same size, up to `most_bytes` of them. One rank.
std::vector<std::vector<std::string>> find_duplicates(const store::Store& store,
                                                      const std::map<std::string, std::string>& digests,
                                                      std::int64_t most_bytes);

}  // namespace outsole::ingest
