#include "retrieval/search_results.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

#include "core/csv.h"
#include "core/errors.h"
#include "core/files.h"
#include "retrieval/exemplar_image.h"

namespace outsole::retrieval {

namespace {

/// The pose as interfaces.md defines it for people and scripts.
struct PublishedPose {
  double angle_deg, y_px, x_px;
  bool mirrored;
};

PublishedPose publish(const match::Pose& pose, const ScaledMark& mark, const OpenIndex& index, std::size_t exemplar) {
  const IndexParameters& p = index.parameters;
  const auto to_frame = [](double scaled, std::int64_t frame, std::int64_t search) {
    return (scaled + 0.5) * static_cast<double>(frame) / static_cast<double>(search) - 0.5;
  };
  const double y = (static_cast<double>(mark.grid.canvas_height_px()) - 1) / 2 - pose.y_px;
  const double x = (static_cast<double>(mark.grid.canvas_width_px()) - 1) / 2 - pose.x_px;
  PublishedPose result = {mark.grid.angles_deg[static_cast<std::size_t>(pose.angle)],
                          to_frame(y, p.frame_height_px, p.search_height_px),
                          to_frame(x, p.frame_width_px, p.search_width_px) -
                              static_cast<double>(exemplar_left_px(index.width_px[exemplar], p.frame_width_px)),
                          index.mirrored[exemplar] != 0};
  if (result.mirrored) {
    result.angle_deg = 0 - result.angle_deg;
    result.x_px = static_cast<double>(index.width_px[exemplar]) - 1 - result.x_px;
  }
  return result;
}

}  // namespace

store::Columns result_columns(const std::vector<MarkResult>& results, const OpenIndex& index, std::int64_t top,
                              bool all_scores, bool has_coarse_scores) {
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  const auto marks = static_cast<std::int64_t>(results.size());
  const std::int64_t exemplars = index.parameters.exemplars;
  std::vector<std::string> ids, sha256;
  std::vector<double> scale;
  std::vector<std::int32_t> top_exemplar;
  std::vector<float> top_score, score, coarse_score;
  std::vector<double> top_angle, top_y, top_x, angle, y, x;
  std::vector<std::uint8_t> top_mirrored;
  for (const MarkResult& result : results) {
    ids.push_back(result.mark.id);
    sha256.push_back(result.mark.sha256);
    scale.push_back(result.mark.scale);
    std::vector<std::int32_t> order(result.best.size());
    std::iota(order.begin(), order.end(), 0);
    const auto better = [&](std::int32_t a, std::int32_t b) {
      const float score_a = result.best[static_cast<std::size_t>(a)].score,
                  score_b = result.best[static_cast<std::size_t>(b)].score;
      if (std::isnan(score_a) != std::isnan(score_b)) return std::isnan(score_b);
      return score_a > score_b || (!(score_b > score_a) && a < b);
    };
    std::partial_sort(order.begin(), order.begin() + top, order.end(), better);
    for (std::int64_t k = 0; k < top; ++k) {
      const auto exemplar = static_cast<std::size_t>(order[static_cast<std::size_t>(k)]);
      const PublishedPose pose = publish(result.best[exemplar].pose, result.mark, index, exemplar);
      top_exemplar.push_back(order[static_cast<std::size_t>(k)]);
      top_score.push_back(result.best[exemplar].score);
      top_angle.push_back(pose.angle_deg);
      top_y.push_back(pose.y_px);
      top_x.push_back(pose.x_px);
      top_mirrored.push_back(pose.mirrored);
    }
    if (!all_scores) continue;
    coarse_score.insert(coarse_score.end(), result.coarse_score.begin(), result.coarse_score.end());
    for (std::size_t exemplar = 0; exemplar < result.best.size(); ++exemplar) {
      PublishedPose pose = {kUnknown, kUnknown, kUnknown, false};
      if (!std::isnan(result.best[exemplar].score)) {
        pose = publish(result.best[exemplar].pose, result.mark, index, exemplar);
      }
      score.push_back(result.best[exemplar].score);
      angle.push_back(pose.angle_deg);
      y.push_back(pose.y_px);
      x.push_back(pose.x_px);
    }
  }
  store::Columns columns = {{"mark_id", {{marks}, ids, {}}},
                            {"mark_sha256", {{marks}, sha256, {}}},
                            {"scale", {{marks}, scale, {}}},
                            {"top_exemplar", {{marks, top}, top_exemplar, {}}},
                            {"top_score", {{marks, top}, top_score, {}}},
                            {"top_angle_deg", {{marks, top}, top_angle, {}}},
                            {"top_y_px", {{marks, top}, top_y, {}}},
                            {"top_x_px", {{marks, top}, top_x, {}}},
                            {"top_mirrored", {{marks, top}, top_mirrored, {}}}};
  if (all_scores) {
    columns["score"] = {{marks, exemplars}, score, {}};
    columns["angle_deg"] = {{marks, exemplars}, angle, {}};
    columns["y_px"] = {{marks, exemplars}, y, {}};
    columns["x_px"] = {{marks, exemplars}, x, {}};
    if (has_coarse_scores) columns["coarse_score"] = {{marks, exemplars}, coarse_score, {}};
  }
  return columns;
}

void write_candidates_csv(const std::filesystem::path& results, const std::filesystem::path& csv) {
  const store::Store store(results, kResultsSchema);
  const auto ids = std::get<std::vector<std::string>>(store.read("exemplar_id").values);
  std::string text = "mark,rank,exemplar,score,angle_deg,y_px,x_px,scale,mirrored\n";
  for (std::int64_t row = 0; row < store.rows(); ++row) {
    const auto column = [&](const char* name) { return store.read(name, row, 1).values; };
    const auto mark = std::get<std::vector<std::string>>(column("mark_id"))[0];
    const auto scale = std::get<std::vector<double>>(column("scale"))[0];
    const auto exemplar = std::get<std::vector<std::int32_t>>(column("top_exemplar"));
    const auto score = std::get<std::vector<float>>(column("top_score"));
    const auto angle = std::get<std::vector<double>>(column("top_angle_deg"));
    const auto y = std::get<std::vector<double>>(column("top_y_px"));
    const auto x = std::get<std::vector<double>>(column("top_x_px"));
    const auto mirrored = std::get<std::vector<std::uint8_t>>(column("top_mirrored"));
    for (std::size_t k = 0; k < exemplar.size(); ++k) {
      if (exemplar[k] < 0 || exemplar[k] >= std::ssize(ids)) {
        throw DataError(results.string() + ": the list of mark '" + mark + "' names an exemplar that does not exist");
      }
      char numbers[160];
      std::snprintf(numbers, sizeof numbers, ",%.6f,%g,%.2f,%.2f,%.6g,%d\n", static_cast<double>(score[k]), angle[k],
                    y[k], x[k], scale, mirrored[k]);
      text += csv_field(mark) + "," + std::to_string(k + 1) + "," +
              csv_field(ids[static_cast<std::size_t>(exemplar[k])]) + numbers;
    }
  }
  write_file_atomically(csv, text);
}

}  // namespace outsole::retrieval
