#include "retrieval/search_results.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <span>

#include "core/checked.h"
#include "core/csv.h"
#include "core/errors.h"
#include "core/files.h"
#include "retrieval/exemplar_image.h"

namespace outsole::retrieval {

namespace {

/// The pose for people and scripts, as `outsole search --help` explains it.
struct PublishedPose {
  double angle_deg, y_px, x_px;
  bool mirrored;
};

PublishedPose publish(const Candidate& candidate, const ScaledMark& mark, const OpenIndex& index) {
  const match::Pose& pose = candidate.found.pose;
  const auto exemplar = static_cast<std::size_t>(candidate.exemplar);
  const IndexParameters& p = index.parameters;
  const auto to_frame = [](double scaled, std::int64_t frame, std::int64_t search) {
    return (scaled + 0.5) * static_cast<double>(frame) / static_cast<double>(search) - 0.5;
  };
  const double y = mark.centre_y_px - pose.y_px, x = mark.centre_x_px - pose.x_px;
  const double angle_deg = mark.grid.angles_deg[static_cast<std::size_t>(pose.angle)];
  const CentreOffset as_received = centre_offset(mark, pose.angle);
  PublishedPose result = {angle_deg, to_frame(y, p.frame_height_px, p.search_height_px) + as_received.y_px,
                          to_frame(x, p.frame_width_px, p.search_width_px) -
                              static_cast<double>(exemplar_left_px(index.width_px[exemplar], p.frame_width_px)) +
                              as_received.x_px,
                          is_mirrored_at(mark, pose.angle)};
  if (index.mirrored[exemplar] != 0) {
    result.mirrored = !result.mirrored;
    result.angle_deg = 0 - result.angle_deg;
    result.x_px = static_cast<double>(index.width_px[exemplar]) - 1 - result.x_px;
  }
  return result;
}

/// The `top` best exemplars of each mark.
void add_top(const std::vector<MarkResult>& results, const OpenIndex& index, std::int64_t top,
             store::Columns& columns) {
  std::vector<std::int32_t> exemplar;
  std::vector<float> score;
  std::vector<double> angle_deg, y_px, x_px;
  std::vector<std::uint8_t> mirrored;
  for (const MarkResult& result : results) {
    ensure(std::ssize(result.best) >= top, "a mark has as many candidates as are listed");
    for (const Candidate& candidate : std::span(result.best).first(static_cast<std::size_t>(top))) {
      const PublishedPose pose = publish(candidate, result.mark, index);
      exemplar.push_back(candidate.exemplar);
      score.push_back(candidate.found.score);
      angle_deg.push_back(pose.angle_deg);
      y_px.push_back(pose.y_px);
      x_px.push_back(pose.x_px);
      mirrored.push_back(pose.mirrored);
    }
  }
  const std::vector<std::int64_t> shape = {std::ssize(results), top};
  columns["top_exemplar"] = {shape, std::move(exemplar), {}};
  columns["top_score"] = {shape, std::move(score), {}};
  columns["top_angle_deg"] = {shape, std::move(angle_deg), {}};
  columns["top_y_px"] = {shape, std::move(y_px), {}};
  columns["top_x_px"] = {shape, std::move(x_px), {}};
  columns["top_mirrored"] = {shape, std::move(mirrored), {}};
}

/// Score and pose of every exemplar.
void add_all_scores(const std::vector<MarkResult>& results, const OpenIndex& index, store::Columns& columns) {
  const auto exemplars = static_cast<std::size_t>(index.parameters.exemplars), all = results.size() * exemplars;
  constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();
  std::vector<float> score(all, std::numeric_limits<float>::quiet_NaN());
  std::vector<double> angle_deg(all, kUnknown), y_px(all, kUnknown), x_px(all, kUnknown);
  std::vector<std::uint8_t> mirrored(all, 0);
  for (std::size_t i = 0; i < results.size(); ++i) {
    for (const Candidate& candidate : results[i].best) {
      if (std::isnan(candidate.found.score)) continue;
      const PublishedPose pose = publish(candidate, results[i].mark, index);
      const std::size_t at = i * exemplars + static_cast<std::size_t>(candidate.exemplar);
      score[at] = candidate.found.score;
      angle_deg[at] = pose.angle_deg;
      y_px[at] = pose.y_px;
      x_px[at] = pose.x_px;
      mirrored[at] = pose.mirrored;
    }
  }
  const std::vector<std::int64_t> shape = {std::ssize(results), index.parameters.exemplars};
  columns["score"] = {shape, std::move(score), {}};
  columns["angle_deg"] = {shape, std::move(angle_deg), {}};
  columns["y_px"] = {shape, std::move(y_px), {}};
  columns["x_px"] = {shape, std::move(x_px), {}};
  columns["mirrored"] = {shape, std::move(mirrored), {}};
}

/// What of the marks' pictures was searched.
void add_supports(const std::vector<MarkResult>& results, store::Columns& columns) {
  std::vector<std::string> sha256;
  std::vector<double> share;
  std::vector<std::int32_t> box_px;
  std::vector<std::uint8_t> png;
  std::vector<std::int64_t> png_lengths;
  for (const MarkResult& result : results) {
    const MarkSupport& support = result.mark.in_file;
    sha256.push_back(support.mask_sha256);
    share.push_back(support.share);
    for (const std::int64_t px : {support.top_px, support.left_px, support.height_px, support.width_px}) {
      box_px.push_back(narrow<std::int32_t>(px));
    }
    png.insert(png.end(), support.mask_png.begin(), support.mask_png.end());
    png_lengths.push_back(std::ssize(support.mask_png));
  }
  const std::vector<std::int64_t> shape = {std::ssize(results)};
  columns["mask_sha256"] = {shape, std::move(sha256), {}};
  columns["mask_png"] = {shape, std::move(png), std::move(png_lengths)};
  columns["support_share"] = {shape, std::move(share), {}};
  columns["support_box_px"] = {{shape[0], 4}, std::move(box_px), {}};
}

void add_coarse_scores(const std::vector<MarkResult>& results, std::int64_t exemplars, store::Columns& columns) {
  std::vector<float> score;
  for (const MarkResult& result : results) {
    score.insert(score.end(), result.coarse_score.begin(), result.coarse_score.end());
  }
  columns["coarse_score"] = {{std::ssize(results), exemplars}, std::move(score), {}};
}

}  // namespace

bool is_better(const Candidate& a, const Candidate& b) {
  const float score_a = a.found.score, score_b = b.found.score;
  if (std::isnan(score_a) != std::isnan(score_b)) return std::isnan(score_b);
  return score_a > score_b || (!(score_b > score_a) && a.exemplar < b.exemplar);
}

void keep_best(std::vector<Candidate>& candidates, std::int64_t count) {
  if (std::ssize(candidates) <= count) return;
  std::ranges::nth_element(candidates, candidates.begin() + count, is_better);
  candidates.resize(static_cast<std::size_t>(count));
}

store::Columns result_columns(const std::vector<MarkResult>& results, const OpenIndex& index, std::int64_t top,
                              bool all_scores, bool has_coarse_scores) {
  std::vector<std::string> ids, sha256;
  std::vector<double> scale, dpi;
  for (const MarkResult& result : results) {
    ids.push_back(result.mark.id);
    sha256.push_back(result.mark.sha256);
    scale.push_back(result.mark.scale);
    dpi.push_back(result.mark.dpi);
  }
  const std::vector<std::int64_t> shape = {std::ssize(results)};
  store::Columns columns = {{"mark_id", {shape, std::move(ids), {}}},
                            {"mark_sha256", {shape, std::move(sha256), {}}},
                            {"scale", {shape, std::move(scale), {}}},
                            {"mark_dpi", {shape, std::move(dpi), {}}}};
  add_supports(results, columns);
  add_top(results, index, top, columns);
  if (all_scores) add_all_scores(results, index, columns);
  if (all_scores && has_coarse_scores) add_coarse_scores(results, index.parameters.exemplars, columns);
  return columns;
}

std::optional<match::Pose> pose_on_grid(const ToldPose& told, std::int32_t exemplar, const ScaledMark& mark,
                                        const OpenIndex& index) {
  const match::PoseGrid& grid = mark.grid;
  const auto number = static_cast<std::size_t>(exemplar);
  const IndexParameters& p = index.parameters;
  const bool mirrored = index.mirrored[number] != 0;
  const bool mark_is_mirrored = told.mirrored.value_or(mirrored) != mirrored;
  const double angle_deg = mirrored ? 0 - told.angle_deg : told.angle_deg;
  const double x_px = mirrored ? static_cast<double>(index.width_px[number]) - 1 - told.x_px : told.x_px;
  const auto first_mirrored = grid.angles_deg.begin() + mark.first_mirrored;
  const auto angle = mark_is_mirrored ? std::find(first_mirrored, grid.angles_deg.end(), angle_deg)
                                      : std::find(grid.angles_deg.begin(), first_mirrored, angle_deg);
  if (angle == (mark_is_mirrored ? grid.angles_deg.end() : first_mirrored)) return std::nullopt;
  const auto to_search = [](double in_frame, std::int64_t frame, std::int64_t search) {
    return (in_frame + 0.5) * static_cast<double>(search) / static_cast<double>(frame) - 0.5;
  };
  const double left_px = static_cast<double>(exemplar_left_px(index.width_px[number], p.frame_width_px));
  const CentreOffset as_received = centre_offset(mark, angle - grid.angles_deg.begin());
  const double y = (static_cast<double>(grid.canvas_height_px()) - 1) / 2 -
                   to_search(told.y_px - as_received.y_px, p.frame_height_px, p.search_height_px);
  const double x = (static_cast<double>(grid.canvas_width_px()) - 1) / 2 -
                   to_search(x_px - as_received.x_px + left_px, p.frame_width_px, p.search_width_px);
  const auto is_on_grid = [&](double at, std::int64_t pad) {
    constexpr double kRounding = 1e-3;
    const auto nearest = std::round(at);
    return std::abs(at - nearest) < kRounding && nearest >= 0 && nearest <= static_cast<double>(pad) &&
           static_cast<std::int64_t>(nearest) % grid.stride_px == 0;
  };
  if (!is_on_grid(y, grid.pad_y_px()) || !is_on_grid(x, grid.pad_x_px())) {
    return std::nullopt;
  }
  return match::Pose{static_cast<std::int32_t>(angle - grid.angles_deg.begin()),
                     static_cast<std::int32_t>(std::lround(y)), static_cast<std::int32_t>(std::lround(x))};
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
