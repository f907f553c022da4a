#pragma once
// PNG files that state a resolution, which OpenCV's do not.

#include <filesystem>
#include <opencv2/core.hpp>

namespace outsole::image {

/// Writes an 8- or 16-bit image; `dpi` of 0: it is not known. Whole or not at all. Throws EnvironmentError.
void write_png(const std::filesystem::path& path, const cv::Mat& image, double dpi);

}  // namespace outsole::image
