#include "image/denoise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"

namespace outsole::image {

namespace {

/// Shapes are found on a grid of square cells of at most a quarter of a millimetre (a pixel where pixels are larger),
/// so that a scan of any resolution costs one pass over its pixels.
struct Grid {
  int cell_px = 1;
  double cell_mm = 1;

  Grid(double px_per_mm) {
    constexpr double kCellsPerMm = 4;
    ensure(px_per_mm > 0, "a scan has a resolution");
    cell_px = std::max(1, static_cast<int>(px_per_mm / kCellsPerMm));
    cell_mm = cell_px / px_per_mm;
  }

  cv::Size size(cv::Size px) const { return {(px.width + cell_px - 1) / cell_px, (px.height + cell_px - 1) / cell_px}; }
  int cells(double mm) const { return static_cast<int>(std::lround(mm / cell_mm)); }
};

/// Calls visit(cell, first, last) for every stretch [first, last) of pixels of a row that lies in one cell.
template <typename Visit>
void for_each_stretch(const Grid& grid, cv::Size px, const Visit& visit) {
  for (int y = 0; y < px.height; ++y) {
    for (int x = 0, cell_x = 0; x < px.width; x += grid.cell_px, ++cell_x) {
      visit(cv::Point(cell_x, y / grid.cell_px), y, x, std::min(x + grid.cell_px, px.width));
    }
  }
}

/// The pixels of ink in every cell.
struct InkCounts {
  cv::Mat1i all, dark;
};

InkCounts ink_of_cells(const cv::Mat1b& scan, const cv::Mat1b& ink_mask, const Grid& grid, int dark_level) {
  InkCounts ink{cv::Mat1i(grid.size(scan.size()), 0), cv::Mat1i(grid.size(scan.size()), 0)};
  for_each_stretch(grid, scan.size(), [&](cv::Point cell, int y, int begin, int end) {
    const uchar *level = scan.ptr(y), *mask = ink_mask.ptr(y);
    int all = 0, dark = 0;
    for (int x = begin; x < end; ++x) {
      all += mask[x] != 0;
      dark += mask[x] != 0 && level[x] < dark_level;
    }
    ink.all(cell) += all;
    ink.dark(cell) += dark;
  });
  return ink;
}

/// Every cell within `radius` cells of one that is set.
cv::Mat1b grown(const cv::Mat1b& cells, int radius) {
  cv::Mat1b result;
  const cv::Mat square = cv::Mat::ones(2 * radius + 1, 2 * radius + 1, CV_8U);
  cv::dilate(cells, result, square);
  return result;
}

/// Connected components of `cells`, and of each its bounding box and ink.
struct Components {
  cv::Mat1i label;  // 0: none
  std::vector<cv::Rect> boxes;
  std::vector<std::int64_t> ink_px, dark_px;
};

Components components_of(const cv::Mat1b& cells, const InkCounts& ink) {
  Components result;
  cv::Mat stats, centroids;
  const int count = cv::connectedComponentsWithStats(cells, result.label, stats, centroids, 8, CV_32S);
  result.ink_px.resize(static_cast<std::size_t>(count));
  result.dark_px.resize(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    const int* box = stats.ptr<int>(i);
    result.boxes.emplace_back(box[cv::CC_STAT_LEFT], box[cv::CC_STAT_TOP], box[cv::CC_STAT_WIDTH],
                              box[cv::CC_STAT_HEIGHT]);
  }
  for (int y = 0; y < cells.rows; ++y) {
    for (int x = 0; x < cells.cols; ++x) {
      const auto label = static_cast<std::size_t>(result.label(y, x));
      result.ink_px[label] += ink.all(y, x);
      result.dark_px[label] += ink.dark(y, x);
    }
  }
  return result;
}

/// The region of interest: where the outsole is. A print may come in parts (sole and heel).
cv::Mat1b outsole_region(const InkCounts& ink, const Grid& grid, const DenoiseParameters& p) {
  const Components parts = components_of(grown(ink.all > 0, grid.cells(p.region_gap_mm / 2)), ink);
  const double all_ink = cv::sum(ink.all)[0];
  cv::Mat1b region(ink.all.size(), uchar{0});
  for (std::size_t part = 1; part < parts.boxes.size(); ++part) {
    if (static_cast<double>(parts.ink_px[part]) < p.region_ink_share * all_ink) continue;
    region.setTo(255, parts.label == static_cast<int>(part));
  }
  return region;
}

bool is_dark(const BlockFeature& feature, const DenoiseParameters& p) {
  return static_cast<double>(feature.dark_px) >= p.least_dark_share * static_cast<double>(feature.ink_px);
}

bool is_fibre(const BlockFeature& feature, int margin_cells, double px_per_mm, const Grid& grid,
              const DenoiseParameters& p) {
  // The diagonal is no longer than the fibre, so its width is not underestimated by curls.
  const double length_mm =
      grid.cell_mm * std::hypot(feature.cells.width - 2 * margin_cells, feature.cells.height - 2 * margin_cells);
  const double ink_mm2 = static_cast<double>(feature.ink_px) / (px_per_mm * px_per_mm);
  return length_mm >= p.fibre_length_mm && ink_mm2 <= p.fibre_width_mm * length_mm;
}

/// Marks the soft edge and all of one feature in `tread`.
void protect(const BlockFeature& feature, const cv::Mat1b& own_ink, int radius, cv::Mat1b& tread) {
  const cv::Rect all({0, 0}, tread.size());
  const cv::Rect around = (feature.cells + cv::Size(2 * radius, 2 * radius) - cv::Point(radius, radius)) & all;
  cv::Mat1b ink(around.size(), uchar{0});
  own_ink.copyTo(ink(feature.cells - around.tl()));
  cv::bitwise_or(tread(around), grown(ink, radius), tread(around));
}

/// The most frequent level of the lighter half: the paper's.
int paper_level(const cv::Mat1b& scan) {
  std::array<std::int64_t, 256> counts{};
  for (int y = 0; y < scan.rows; ++y) {
    const uchar* row = scan.ptr(y);
    for (int x = 0; x < scan.cols; ++x) ++counts[row[x]];
  }
  return static_cast<int>(std::max_element(counts.begin() + 128, counts.end()) - counts.begin());
}

}  // namespace

cv::Mat1b ink_mask(const cv::Mat1b& scan, double px_per_mm, const DenoiseParameters& p) {
  const int window_px = std::max(3, static_cast<int>(std::lround(p.threshold_window_mm * px_per_mm)) | 1);
  cv::Mat1b limit;
  cv::boxFilter(scan, limit, CV_8U, {window_px, window_px}, {-1, -1}, true, cv::BORDER_REPLICATE);
  limit -= p.threshold_offset;
  cv::min(cv::max(limit, p.surely_ink), p.surely_paper, limit);
  cv::Mat1b mask;
  cv::compare(scan, limit, mask, cv::CMP_LT);
  return mask;
}

cv::Mat1b noise_map(const cv::Mat1b& scan, const cv::Mat1b& ink_mask, double px_per_mm,
                    std::vector<BlockFeature>& features, const DenoiseParameters& p) {
  const Grid grid(px_per_mm);
  const InkCounts ink = ink_of_cells(scan, ink_mask, grid, p.dark_level);
  const cv::Mat1b region = outsole_region(ink, grid, p);
  const int half_gap = std::max(1, grid.cells(p.feature_gap_mm / 2));
  const int soft_edge = std::max(grid.cells(p.soft_edge_mm), (p.soft_edge_px + grid.cell_px - 1) / grid.cell_px);
  const double least_px = std::max<double>(p.least_feature_px, p.least_feature_mm2 * px_per_mm * px_per_mm);

  const Components groups = components_of(grown(ink.all > 0, half_gap), ink);
  cv::Mat1b tread(ink.all.size(), uchar{0});
  features.clear();
  for (std::size_t group = 1; group < groups.boxes.size(); ++group) {
    BlockFeature feature{groups.boxes[group], groups.ink_px[group], groups.dark_px[group], true};
    const cv::Mat1b own = groups.label(feature.cells) == static_cast<int>(group);
    const cv::Mat1b own_ink = (ink.all(feature.cells) > 0) & own;
    feature.is_tread = static_cast<double>(feature.ink_px) >= least_px && is_dark(feature, p) &&
                       !is_fibre(feature, half_gap, px_per_mm, grid, p) &&
                       cv::countNonZero(region(feature.cells) & own_ink) > 0;
    if (feature.is_tread) protect(feature, own_ink, soft_edge, tread);
    features.push_back(feature);
  }

  const int lightest_noise = paper_level(scan) - p.paper_tolerance - 1;
  cv::Mat1b noise(scan.size());
  for_each_stretch(grid, scan.size(), [&](cv::Point cell, int y, int begin, int end) {
    const uchar* input = scan.ptr(y);
    uchar* output = noise.ptr(y);
    const bool is_tread = tread(cell) != 0;
    for (int x = begin; x < end; ++x) output[x] = !is_tread && input[x] <= lightest_noise ? 255 : 0;
  });
  return noise;
}

cv::Mat1b averaged_where_noisy(const cv::Mat1b& scan, const cv::Mat1b& ink_mask, const cv::Mat1b& noise_map,
                               double px_per_mm, const DenoiseParameters& p) {
  const Grid grid(px_per_mm);
  const int paper = paper_level(scan);
  cv::Mat1f sum(grid.size(scan.size()), 0.0f), count(grid.size(scan.size()), 0.0f);
  for_each_stretch(grid, scan.size(), [&](cv::Point cell, int y, int begin, int end) {
    const uchar *level = scan.ptr(y), *ink = ink_mask.ptr(y), *noise = noise_map.ptr(y);
    for (int x = begin; x < end; ++x) {
      if (ink[x] != 0 || noise[x] != 0 || std::abs(level[x] - paper) > p.paper_tolerance) continue;
      sum(cell) += level[x];
      count(cell) += 1;
    }
  });
  const int window = std::max(3, grid.cells(p.averaging_window_mm) | 1);
  cv::boxFilter(sum, sum, -1, {window, window}, {-1, -1}, false, cv::BORDER_CONSTANT);
  cv::boxFilter(count, count, -1, {window, window}, {-1, -1}, false, cv::BORDER_CONSTANT);

  cv::Mat1b result = scan.clone();
  for_each_stretch(grid, scan.size(), [&](cv::Point cell, int y, int begin, int end) {
    const uchar* noise = noise_map.ptr(y);
    uchar* output = result.ptr(y);
    const float mean = count(cell) >= 0.5f ? sum(cell) / count(cell) : static_cast<float>(paper);
    for (int x = begin; x < end; ++x) {
      if (noise[x] != 0) output[x] = cv::saturate_cast<uchar>(mean);
    }
  });
  return result;
}

Denoised denoise(const cv::Mat1b& scan, double px_per_mm, const DenoiseParameters& parameters) {
  Denoised result;
  result.ink_mask = ink_mask(scan, px_per_mm, parameters);
  result.noise_map = noise_map(scan, result.ink_mask, px_per_mm, result.features, parameters);
  result.image = averaged_where_noisy(scan, result.ink_mask, result.noise_map, px_per_mm, parameters);
  return result;
}

}  // namespace outsole::image
