#pragma once
// Noise-free images of scans, as `synthesize wear` writes them, in the frame of the prepared scans.

#include <filesystem>
#include <opencv2/core.hpp>

#include "wear/prepared.h"

namespace outsole::wear {

class CleanScans {
 public:
  /// `folder` holds ID.png or ID.tif for scans of the store: the noise-free image in the size and pose of the scan.
  /// Throws DataError when the folder does not exist or the store does not say how its frame was made.
  CleanScans(std::filesystem::path folder, const PreparedStore& scans);

  /// The noise-free image of a scan as preparation would have placed it: turned, moved and reduced by the pose it
  /// found, without denoising; 255 outside. Empty where the folder has no image of that scan. Throws DataError for one
  /// that cannot be read.
  cv::Mat1b in_frame_of(const PreparedInfo& scan) const;

 private:
  std::filesystem::path folder_;
  cv::Size frame_;         // of the prepared scans
  cv::Size native_frame_;  // the same in the scans' own pixels
};

}  // namespace outsole::wear
