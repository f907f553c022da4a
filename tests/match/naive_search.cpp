#include "match/naive_search.h"

#include <cmath>

namespace outsole::match::testing {

double naive_score(const MarkView& mark, const at::Tensor& exemplar, std::int64_t row, std::int64_t column,
                   std::int64_t margin, const ChannelModel& channels, Similarity similarity) {
  const auto support = mark.support.accessor<bool, 2>();
  const auto x = mark.features.accessor<float, 3>();
  const auto y = exemplar.accessor<float, 3>();
  std::vector<std::pair<std::int64_t, std::int64_t>> cells;
  for (std::int64_t a = 0; a < support.size(0); ++a) {
    for (std::int64_t b = 0; b < support.size(1); ++b) {
      const bool on_frame =
          row + a >= margin && row + a < y.size(1) - margin && column + b >= margin && column + b < y.size(2) - margin;
      if (support[a][b] && on_frame) cells.emplace_back(a, b);
    }
  }
  if (cells.empty()) return -std::numeric_limits<double>::infinity();
  const auto n = static_cast<double>(cells.size()), channel_count = static_cast<double>(x.size(0));
  double x_mean_of_all = 0, y_mean_of_all = 0;
  for (std::int64_t c = 0; c < x.size(0); ++c) {
    for (const auto& [a, b] : cells) {
      x_mean_of_all += x[c][a][b] / (n * channel_count);
      y_mean_of_all += y[c][row + a][column + b] / (n * channel_count);
    }
  }
  double score = 0, xx_of_all = 0, yy_of_all = 0, flat_of_all = 0;
  for (std::int64_t c = 0; c < x.size(0); ++c) {
    double x_mean = 0, y_mean = 0;
    if (similarity.centring == Centring::kMu) x_mean = x_mean_of_all, y_mean = y_mean_of_all;
    if (similarity.centring == Centring::kMuC) {
      for (const auto& [a, b] : cells) {
        x_mean += x[c][a][b] / n;
        y_mean += y[c][row + a][column + b] / n;
      }
    }
    if (similarity.centring == Centring::kMuBarC) x_mean = y_mean = channels.mean[c].item<double>();
    double xx = 0, yy = 0, xy = 0;
    for (const auto& [a, b] : cells) {
      const double dx = x[c][a][b] - x_mean, dy = y[c][row + a][column + b] - y_mean;
      xx += dx * dx;
      yy += dy * dy;
      xy += dx * dy;
    }
    const double flat = std::pow(channels.flat_std[c].item<float>(), 2) * n;
    const double weight = channels.weight[c].item<float>();
    if (similarity.is_distance) {
      score -= (xx - 2 * xy + yy) / (n * channel_count);
      continue;
    }
    if (similarity.scaling == Scaling::kNone) score += weight * xy / n;
    if (similarity.scaling == Scaling::kSigmaBarC) {
      const double deviation = channels.deviation[c].item<double>();
      if (deviation > channels.flat_std[c].item<float>()) score += weight * xy / (n * deviation * deviation);
    }
    if (similarity.scaling == Scaling::kSigma) score += weight * xy * channel_count;
    if (similarity.scaling == Scaling::kSigmaC && xx > flat && yy > flat) score += weight * xy / std::sqrt(xx * yy);
    xx_of_all += xx;
    yy_of_all += yy;
    flat_of_all += flat;
  }
  if (similarity.scaling != Scaling::kSigma) return score;
  return xx_of_all > flat_of_all && yy_of_all > flat_of_all ? score / std::sqrt(xx_of_all * yy_of_all) : 0;
}

NaiveResult naive_search(const std::vector<MarkView>& views, const at::Tensor& exemplar, const FrameCells& frame,
                         std::int64_t erosion_radius, const ChannelModel& channels, Similarity similarity) {
  NaiveResult best;
  for (const MarkView& view : views) {
    for (std::int64_t i = 0; i < view.offset.shifts_y; ++i) {
      for (std::int64_t j = 0; j < view.offset.shifts_x; ++j) {
        if (view.is_pose.defined() && !view.is_pose[i][j].item<bool>()) continue;
        const std::int64_t row = view.origin_y - frame.border - i * view.offset.step_cells;
        const std::int64_t column = view.origin_x - frame.border - j * view.offset.step_cells;
        const double score =
            naive_score(view, exemplar, row, column, erosion_radius - frame.border, channels, similarity);
        const Pose pose = {
            static_cast<std::int32_t>(view.angle),
            static_cast<std::int32_t>(view.offset.offset_y_px + i * view.offset.step_cells * frame.cell_px),
            static_cast<std::int32_t>(view.offset.offset_x_px + j * view.offset.step_cells * frame.cell_px)};
        if (score > best.score || (score == best.score && pose < best.pose)) best = {score, pose};
      }
    }
  }
  return best;
}

}  // namespace outsole::match::testing
