#pragma once
// All images of a store at a glance.

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <string>
#include <vector>

namespace outsole::report {

struct ContactSheet {
  cv::Mat3b picture;
  std::int64_t shown = 0;
  std::int64_t images = 0;  // in the store
};

/// The images of a store of exemplars, scans or prepared scans in its order, with their ids; of scans also foot and
/// week. Unknown area of prepared scans is blue, a flagged one is framed red. Of more than `most` images every nth is
/// shown. One image is in memory at a time. Throws DataError for a store of another kind. Any one rank.
ContactSheet contact_sheet(const std::filesystem::path& store, std::int64_t most = 120);

}  // namespace outsole::report
