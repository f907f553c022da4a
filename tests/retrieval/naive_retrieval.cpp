#include "naive_retrieval.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "image/geometry.h"
#include "match/rotation.h"

namespace outsole::retrieval::testing {

namespace {

constexpr double kFlat = 1e-5;  // of a channel's root mean square over the exemplars

at::Tensor to_tensor(const cv::Mat1f& image) {
  return at::from_blob(image.data, {image.rows, image.cols}, at::kFloat).clone();
}

cv::Mat1f to_float(const cv::Mat1b& image) {
  cv::Mat1f result;
  image.convertTo(result, CV_32F);
  return result;
}

/// Whether a disk around each cell of `support` lies within it; beyond the edge is no support.
std::vector<std::vector<bool>> eroded(const std::vector<std::vector<bool>>& support, std::int64_t radius) {
  const auto height = std::ssize(support), width = std::ssize(support[0]);
  auto result = support;
  for (std::int64_t k = 0; k < height; ++k) {
    for (std::int64_t l = 0; l < width; ++l) {
      for (std::int64_t dy = -radius; dy <= radius; ++dy) {
        for (std::int64_t dx = -radius; dx <= radius; ++dx) {
          if (dy * dy + dx * dx > radius * radius) continue;
          const std::int64_t y = k + dy, x = l + dx;
          if (y < 0 || y >= height || x < 0 || x >= width || !support[y][x]) result[k][l] = false;
        }
      }
    }
  }
  return result;
}

struct Cell {
  std::int64_t y, x;
};

/// MCNCC over the cells: `mark` is read `shift` cells further down and right than `exemplar`.
double mcncc(const at::Tensor& mark, Cell shift, const at::Tensor& exemplar, const std::vector<Cell>& cells,
             const std::vector<double>& flat_std) {
  if (cells.empty()) return -std::numeric_limits<double>::infinity();
  const auto x = mark.accessor<float, 3>(), y = exemplar.accessor<float, 3>();
  const auto n = static_cast<double>(cells.size());
  double sum = 0;
  for (std::int64_t c = 0; c < x.size(0); ++c) {
    double x_mean = 0, y_mean = 0;
    for (const Cell& cell : cells) {
      x_mean += x[c][cell.y + shift.y][cell.x + shift.x] / n;
      y_mean += y[c][cell.y][cell.x] / n;
    }
    double xx = 0, yy = 0, xy = 0;
    for (const Cell& cell : cells) {
      const double dx = x[c][cell.y + shift.y][cell.x + shift.x] - x_mean, dy = y[c][cell.y][cell.x] - y_mean;
      xx += dx * dx;
      yy += dy * dy;
      xy += dx * dy;
    }
    const double flat = flat_std[static_cast<std::size_t>(c)];
    if (std::sqrt(xx / n) > flat && std::sqrt(yy / n) > flat) sum += xy / std::sqrt(xx * yy);
  }
  return sum / static_cast<double>(x.size(0));
}

}  // namespace

std::size_t NaiveScores::best() const {
  return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

double NaiveScores::at(const NaivePose& pose) const {
  for (std::size_t i = 0; i < poses.size(); ++i) {
    if (poses[i].angle_deg == pose.angle_deg && std::abs(poses[i].y_px - pose.y_px) < 1e-6 &&
        std::abs(poses[i].x_px - pose.x_px) < 1e-6) {
      return scores[i];
    }
  }
  return std::numeric_limits<double>::quiet_NaN();
}

NaiveRetrieval::NaiveRetrieval(const std::vector<NaiveExemplar>& exemplars, const features::ExtractorSpec& spec,
                               NaiveProtocol protocol)
    : exemplars_(exemplars), protocol_(std::move(protocol)) {
  for (const NaiveExemplar& exemplar : exemplars_) {
    frame_height_px_ = std::max<std::int64_t>(frame_height_px_, exemplar.image.rows);
    frame_width_px_ = std::max<std::int64_t>(frame_width_px_, exemplar.image.cols);
  }
  search_height_px_ = std::llround(std::ceil(static_cast<double>(frame_height_px_) * protocol_.image_scale));
  search_width_px_ = std::llround(std::ceil(static_cast<double>(frame_width_px_) * protocol_.image_scale));
  std::vector<at::Tensor> images;
  for (const NaiveExemplar& exemplar : exemplars_) {
    cv::Mat1f frame(static_cast<int>(frame_height_px_), static_cast<int>(frame_width_px_), 255.0F);
    const int left = static_cast<int>(frame_width_px_ - exemplar.image.cols) / 2;
    for (int y = 0; y < exemplar.image.rows; ++y) {
      for (int x = 0; x < exemplar.image.cols; ++x) {
        frame(y, left + x) = exemplar.image(y, exemplar.mirror ? exemplar.image.cols - 1 - x : x);
      }
    }
    images.push_back(to_tensor(image::resize_to_grey_levels(frame, search_height_px_, search_width_px_)));
  }
  const at::Tensor all = at::stack(images);
  features::ExtractorSpec with_mean = spec;
  with_mean.mean_grey = mean_grey_ = all.mean(at::kDouble).item<double>();
  extractor_ = features::make_extractor(with_mean);
  const at::Tensor maps = extractor_->extract(all);
  for (std::int64_t i = 0; i < maps.size(0); ++i) maps_.push_back(maps[i].contiguous());
  const at::Tensor square_mean = maps.to(at::kDouble).square().mean({0, 2, 3});
  for (std::int64_t c = 0; c < maps.size(1); ++c) flat_std_.push_back(kFlat * std::sqrt(square_mean[c].item<double>()));
}

NaivePose NaiveRetrieval::published(double angle_deg, double y_px, double x_px, const NaiveExemplar& exemplar) const {
  const double scale_y = static_cast<double>(frame_height_px_) / static_cast<double>(search_height_px_);
  const double scale_x = static_cast<double>(frame_width_px_) / static_cast<double>(search_width_px_);
  const auto left = static_cast<double>((frame_width_px_ - exemplar.image.cols) / 2);
  const double y = (y_px + 0.5) * scale_y - 0.5, x = (x_px + 0.5) * scale_x - 0.5 - left;
  if (!exemplar.mirror) return {angle_deg, y, x};
  return {angle_deg == 0 ? 0 : -angle_deg, y, exemplar.image.cols - 1 - x};
}

std::vector<NaiveScores> NaiveRetrieval::search(const NaiveMark& mark) const {
  // The mark at the search scale, shrunk until it fits the frame.
  const double height = mark.image.rows, width = mark.image.cols;
  double mark_height = std::ceil(height * protocol_.image_scale), mark_width = std::ceil(width * protocol_.image_scale);
  const double shrink = std::min(
      {1.0, static_cast<double>(search_height_px_) / mark_height, static_cast<double>(search_width_px_) / mark_width});
  if (shrink < 1) {
    mark_height = std::round(height * protocol_.image_scale * shrink);
    mark_width = std::round(width * protocol_.image_scale * shrink);
  }
  const auto rows = std::llround(mark_height), columns = std::llround(mark_width);
  const at::Tensor image = to_tensor(image::resize_to_grey_levels(to_float(mark.image), rows, columns));
  const cv::Mat1b mask = mark.mask.empty() ? cv::Mat1b(static_cast<int>(rows), static_cast<int>(columns), 255)
                                           : cv::Mat1b(image::resize_mask(mark.mask, rows, columns));

  const std::int64_t pad_y = search_height_px_ - rows, pad_x = search_width_px_ - columns;
  const std::int64_t canvas_height = search_height_px_ + pad_y, canvas_width = search_width_px_ + pad_x;
  at::Tensor canvas = at::full({canvas_height, canvas_width}, 255.0, at::kFloat);
  at::Tensor canvas_mask = at::zeros({canvas_height, canvas_width}, at::kBool);
  for (std::int64_t y = 0; y < rows; ++y) {
    for (std::int64_t x = 0; x < columns; ++x) {
      canvas[pad_y + y][pad_x + x] = image[y][x];
      canvas_mask[pad_y + y][pad_x + x] = mask(static_cast<int>(y), static_cast<int>(x)) != 0;
    }
  }

  const features::MapGeometry geometry = extractor_->geometry();
  const std::int64_t cell_px = geometry.stride_px, map_height = maps_[0].size(1), map_width = maps_[0].size(2);
  const auto radius = std::max<std::int64_t>(
      1, static_cast<std::int64_t>(protocol_.erosion_fraction * static_cast<double>(std::min(map_height, map_width))));
  std::vector<NaiveScores> all(exemplars_.size());
  for (const double angle_deg : protocol_.angles_deg) {
    const at::Tensor turned = match::rotate_image(canvas, angle_deg, 255.0F);
    const at::Tensor turned_mask = match::rotate_mask(canvas_mask, angle_deg);
    const auto counts = turned_mask.accessor<bool, 2>();
    std::map<std::pair<std::int64_t, std::int64_t>, at::Tensor> map_from;  // by the canvas pixel it begins at
    for (std::int64_t y = 0; y <= pad_y; y += protocol_.stride_px) {
      for (std::int64_t x = 0; x <= pad_x; x += protocol_.stride_px) {
        const std::int64_t offset_y = y % cell_px, offset_x = x % cell_px;
        at::Tensor& map = map_from[{offset_y, offset_x}];
        if (!map.defined()) {
          map = extractor_->extract(turned.slice(0, offset_y).slice(1, offset_x).contiguous().unsqueeze(0))[0];
        }
        std::vector<std::vector<bool>> support(map_height, std::vector<bool>(map_width));
        for (std::int64_t k = 0; k < map_height; ++k) {
          for (std::int64_t l = 0; l < map_width; ++l) {
            const std::int64_t first = geometry.first_center_half_px / 2,
                               last = (geometry.first_center_half_px + 1) / 2;
            support[k][l] = true;
            for (const std::int64_t down : {first, last}) {
              for (const std::int64_t right : {first, last}) {
                support[k][l] = support[k][l] && counts[y + down + k * cell_px][x + right + l * cell_px];
              }
            }
          }
        }
        support = eroded(support, radius);
        std::vector<Cell> cells;
        for (std::int64_t k = 0; k < map_height; ++k) {
          for (std::int64_t l = 0; l < map_width; ++l) {
            if (support[k][l]) cells.push_back({k, l});
          }
        }
        const double centre_y = static_cast<double>(canvas_height - 1) / 2 - static_cast<double>(y);
        const double centre_x = static_cast<double>(canvas_width - 1) / 2 - static_cast<double>(x);
        for (std::size_t i = 0; i < exemplars_.size(); ++i) {
          all[i].poses.push_back(published(angle_deg, centre_y, centre_x, exemplars_[i]));
          all[i].scores.push_back(mcncc(map, {y / cell_px, x / cell_px}, maps_[i], cells, flat_std_));
        }
      }
    }
  }
  return all;
}

}  // namespace outsole::retrieval::testing
