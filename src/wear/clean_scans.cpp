#include "wear/clean_scans.h"

#include <cmath>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"
#include "image/geometry.h"
#include "image/image.h"
#include "image/register.h"

namespace outsole::wear {

namespace fs = std::filesystem;

namespace {

/// `length` frame pixels in the scans' own.
int native_length_px(std::int64_t length, double scale) {
  return static_cast<int>(std::lround(static_cast<double>(length) / scale));
}

/// The image of a scan in the folder, or nothing. The last part of the id alone: a crafted store must not lead out of
/// it.
fs::path clean_path_of(const fs::path& folder, const std::string& id) {
  for (const char* extension : {".png", ".tif", ".tiff"}) {
    const fs::path path = folder / fs::path(id + extension).filename();
    if (fs::exists(path)) return path;
  }
  return {};
}

}  // namespace

CleanScans::CleanScans(fs::path folder, const PreparedStore& scans)
    : folder_(std::move(folder)), frame_(static_cast<int>(scans.width_px()), static_cast<int>(scans.height_px())) {
  if (!fs::is_directory(folder_)) throw DataError(folder_.string() + ": is no folder");
  const nlohmann::json& parameters = scans.store().header().parameters;
  const double scale = parameters.value("dpi", 0.0) / parameters.value("scan_dpi", 0.0);
  if (!(scale > 0.001 && scale <= 1)) {
    throw DataError(scans.store().path().string() + ": does not say how far its scans were reduced (dpi, scan_dpi)");
  }
  const ShownSize stored = scans.stored_size();
  native_frame_ = {native_length_px(stored.width_px, scale), native_length_px(stored.height_px, scale)};
}

cv::Mat1b CleanScans::in_frame_of(const PreparedInfo& scan) const {
  const fs::path path = clean_path_of(folder_, scan.id);
  if (path.empty()) return {};
  const cv::Mat1b clean = image::to_8_bit(image::read_image(path).grey);
  const image::RigidTransform pose{scan.angle_deg, scan.centre_y_px - (clean.rows - 1) / 2.0,
                                   scan.centre_x_px - (clean.cols - 1) / 2.0};
  cv::Mat1b placed = image::warped_into_frame(clean, pose, native_frame_, {0, 0}, 255), result;
  cv::resize(placed, result, frame_, 0, 0, cv::INTER_AREA);
  return scan.mirrored ? cv::Mat1b(image::mirrored(result)) : result;
}

}  // namespace outsole::wear
