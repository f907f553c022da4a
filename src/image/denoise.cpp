#include "image/denoise.h"

#include <algorithm>
#include <cmath>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"
#include "image/paper.h"

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

/// The pixels of ink in every cell, how many of them are dark, and how much darker than white they are altogether.
struct InkCounts {
  cv::Mat1i all, dark, darkness;
  cv::Mat1i greyness;  // as darkness, but of all that is darker than paper, ink or not
};

InkCounts ink_of_cells(const cv::Mat1b& scan, const cv::Mat1b& ink_mask, const Grid& grid, int dark_level,
                       int grey_level) {
  const cv::Size cells = grid.size(scan.size());
  InkCounts ink{cv::Mat1i(cells, 0), cv::Mat1i(cells, 0), cv::Mat1i(cells, 0), cv::Mat1i(cells, 0)};
  for_each_stretch(grid, scan.size(), [&](cv::Point cell, int y, int begin, int end) {
    const uchar *level = scan.ptr(y), *mask = ink_mask.ptr(y);
    int all = 0, dark = 0, darkness = 0, greyness = 0;
    for (int x = begin; x < end; ++x) {
      greyness += level[x] < grey_level ? 255 - level[x] : 0;
      if (mask[x] == 0) continue;
      ++all;
      dark += level[x] < dark_level;
      darkness += 255 - level[x];
    }
    ink.all(cell) += all;
    ink.dark(cell) += dark;
    ink.darkness(cell) += darkness;
    ink.greyness(cell) += greyness;
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
  std::vector<std::int64_t> ink_px, dark_px, darkness, greyness;
};

Components components_of(const cv::Mat1b& cells, const InkCounts& ink) {
  Components result;
  cv::Mat stats, centroids;
  const int count = cv::connectedComponentsWithStats(cells, result.label, stats, centroids, 8, CV_32S);
  result.ink_px.resize(static_cast<std::size_t>(count));
  result.dark_px.resize(static_cast<std::size_t>(count));
  result.darkness.resize(static_cast<std::size_t>(count));
  result.greyness.resize(static_cast<std::size_t>(count));
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
      result.darkness[label] += ink.darkness(y, x);
      result.greyness[label] += ink.greyness(y, x);
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

/// Ghosts and finger marks; also tread that printed no darker.
bool is_veil(const BlockFeature& feature, const DenoiseParameters& p) {
  return 255 * feature.black_px <= (255 - p.surely_ink) * static_cast<double>(feature.ink_px);
}

/// The diagonal of its box is no longer than a line, so its width is not underestimated by curls.
bool is_line(double length_mm, double black_mm2, const DenoiseParameters& p) {
  return length_mm >= p.fibre_length_mm && black_mm2 <= p.fibre_width_mm * length_mm;
}

enum class Verdict { kNoise, kDoubtful, kTread };

Verdict judge(const BlockFeature& feature, double px_per_mm, const DenoiseParameters& p) {
  const double black_mm2 = feature.black_px / (px_per_mm * px_per_mm);
  if (black_mm2 < p.least_ink_mm2 || is_veil(feature, p)) return Verdict::kNoise;
  return black_mm2 >= p.sure_ink_mm2 && is_dark(feature, p) ? Verdict::kTread : Verdict::kDoubtful;
}

/// What is darker than paper in connected parts, as far as its shape tells what it is; cells.
struct Parts {
  cv::Mat1b grains;  // too small to be judged, but near others: tread that hardly touches the ground
  cv::Mat1b dust;    // as small, and alone
  cv::Mat1b fibres;
};

/// Whether a part other than `part` lies within `radius` cells of its box.
bool has_neighbour(const Components& parts, std::size_t part, int radius) {
  const cv::Rect& box = parts.boxes[part];
  const cv::Rect around = cv::Rect(box.x - radius, box.y - radius, box.width + 2 * radius, box.height + 2 * radius) &
                          cv::Rect({0, 0}, parts.label.size());
  for (int y = around.y; y < around.y + around.height; ++y) {
    const int* label = parts.label.ptr<int>(y);
    for (int x = around.x; x < around.x + around.width; ++x) {
      if (label[x] != 0 && label[x] != static_cast<int>(part)) return true;
    }
  }
  return false;
}

Parts find_parts(const InkCounts& ink, const Grid& grid, double px_per_mm, const DenoiseParameters& p) {
  const Components parts = components_of(ink.greyness > 0, ink);
  const cv::Size cells = ink.all.size();
  Parts result{cv::Mat1b(cells, uchar{0}), cv::Mat1b(cells, uchar{0}), cv::Mat1b(cells, uchar{0})};
  for (std::size_t part = 1; part < parts.boxes.size(); ++part) {
    const cv::Rect& box = parts.boxes[part];
    const cv::Mat1b own = parts.label(box) == static_cast<int>(part);
    const double black_mm2 = static_cast<double>(parts.greyness[part]) / (255 * px_per_mm * px_per_mm);
    const double length_mm = grid.cell_mm * std::hypot(box.width, box.height);
    const bool is_speck = black_mm2 < p.least_ink_mm2, is_thin = is_line(length_mm, black_mm2, p);
    if (!is_speck && !is_thin) continue;
    const bool is_alone = !has_neighbour(parts, part, grid.cells(p.lonely_mm));
    if (is_thin && (is_alone || length_mm >= p.sure_fibre_mm)) {
      result.fibres(box).setTo(255, own);
    } else if (is_speck) {
      (is_alone ? result.dust : result.grains)(box).setTo(255, own);
    }
  }
  return result;
}

/// Adds what is left over at the edges of the tread and no larger than a speck: its outermost soft pixels.
void add_fringe(const InkCounts& ink, const cv::Mat1b& noise, double px_per_mm, const DenoiseParameters& p,
                cv::Mat1b& tread) {
  const Components rests = components_of((ink.greyness > 0) & (tread == 0) & (noise == 0), ink);
  const double least = 255 * p.least_ink_mm2 * px_per_mm * px_per_mm;
  const cv::Mat1b beside = grown(tread, 1);
  for (std::size_t rest = 1; rest < rests.boxes.size(); ++rest) {
    if (static_cast<double>(rests.greyness[rest]) >= least) continue;
    const cv::Rect& box = rests.boxes[rest];
    const cv::Mat1b own = rests.label(box) == static_cast<int>(rest);
    if (cv::countNonZero(beside(box) & own) > 0) tread(box).setTo(255, own);
  }
}

/// The cells of block features that are tread, with their soft edge. `features` receives every block feature.
cv::Mat1b find_tread(const InkCounts& ink, const Grid& grid, double px_per_mm, std::vector<BlockFeature>& features,
                     const DenoiseParameters& p) {
  const cv::Mat1b region = outsole_region(ink, grid, p);
  const int half_gap = std::max(1, grid.cells(p.feature_gap_mm / 2));
  const Components groups = components_of(grown(ink.all > 0, half_gap), ink);
  const auto ink_of = [&](std::size_t group) -> cv::Mat1b {
    const cv::Rect& box = groups.boxes[group];
    return (ink.all(box) > 0) & (groups.label(box) == static_cast<int>(group));
  };

  const Parts parts = find_parts(ink, grid, px_per_mm, p);
  cv::Mat1b tread(ink.all.size(), uchar{0});
  std::vector<std::size_t> doubtful;
  features.clear();
  for (std::size_t group = 1; group < groups.boxes.size(); ++group) {
    BlockFeature feature{groups.boxes[group], groups.ink_px[group], groups.dark_px[group],
                         static_cast<double>(groups.darkness[group]) / 255, false};
    const cv::Mat1b own_ink = ink_of(group);
    const bool in_region = cv::countNonZero(region(feature.cells) & own_ink) > 0;
    const Verdict verdict = in_region ? judge(feature, px_per_mm, p) : Verdict::kNoise;
    feature.is_tread = verdict == Verdict::kTread;
    if (feature.is_tread) tread(feature.cells).setTo(255, own_ink);
    if (verdict == Verdict::kDoubtful) doubtful.push_back(group);
    features.push_back(feature);
  }

  const cv::Mat1b near_tread = grown(tread, grid.cells(p.doubtful_mm));
  for (const std::size_t group : doubtful) {
    BlockFeature& feature = features[group - 1];
    const cv::Mat1b own_ink = ink_of(group);
    feature.is_tread = cv::countNonZero(near_tread(feature.cells) & own_ink) > 0;
    if (feature.is_tread) tread(feature.cells).setTo(255, own_ink);
  }
  tread.setTo(0, parts.fibres);
  tread.setTo(255, parts.grains & grown(tread, grid.cells(p.doubtful_mm)));
  const cv::Mat1b noise = parts.dust | parts.fibres;
  cv::Mat1b result = grown(tread, std::max(1, grid.cells(p.soft_edge_mm)));
  result.setTo(0, noise);
  add_fringe(ink, noise, px_per_mm, p, result);
  return result;
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
  const int paper = paper_level(scan), lightest_noise = paper - p.paper_tolerance - 1;
  const InkCounts ink = ink_of_cells(scan, ink_mask, grid, p.dark_level, paper - p.threshold_offset);
  const cv::Mat1b tread = find_tread(ink, grid, px_per_mm, features, p);

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
