#include "report/candidates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/sha256.h"
#include "image/image.h"
#include "ingest/exemplars.h"
#include "report/draw.h"
#include "retrieval/evaluate_retrieval.h"
#include "retrieval/exemplar_image.h"
#include "store/store.h"

namespace outsole::report {

namespace fs = std::filesystem;

namespace {

constexpr int kPanelHeight = 420, kMinPanelWidth = 150, kMaxPanelWidth = 600, kGap = 14, kTextHeight = 62, kFrame = 5;
const cv::Scalar kPaper(255, 255, 255), kTrue(60, 160, 30), kOutline(30, 110, 230);

/// What fits an image into a panel.
double fitting_factor(cv::Size size) {
  return std::min(static_cast<double>(kPanelHeight) / size.height, static_cast<double>(kMaxPanelWidth) / size.width);
}

cv::Mat3b resized(const cv::Mat3b& image, double factor) {
  const auto length = [factor](int length_px) {
    return std::max(1, static_cast<int>(std::lround(factor * length_px)));
  };
  cv::Mat3b result;
  cv::resize(image, result, {length(image.cols), length(image.rows)}, 0, 0,
             factor < 1 ? cv::INTER_AREA : cv::INTER_CUBIC);
  return result;
}

/// The mark's ink, 0 (none) to 255: the darker tone, or the lighter one where most of the mark is dark. Tones near the
/// paper's count as none, or the whole frame would be tinted.
cv::Mat1b ink_of(const cv::Mat1b& mark) {
  constexpr double kFaint = 70;
  const bool is_inverted = cv::mean(mark)[0] < 110;
  cv::Mat1b stretched, ink;
  cv::normalize(mark, stretched, 0, 255, cv::NORM_MINMAX);
  const cv::Mat1b darkness = is_inverted ? stretched : cv::Mat1b(255 - stretched);
  const double gain = 255 / (255 - kFaint);
  darkness.convertTo(ink, CV_8U, gain, -gain * kFaint);
  return ink;
}

/// The exemplar in pale grey, the mark's ink over it in red: where both have ink it is dark red.
cv::Mat3b laid_on(const cv::Mat1b& exemplar, const cv::Mat1b& mark, const image::MarkPose& pose) {
  const cv::Matx23d map = image::mark_to_exemplar(mark.rows, mark.cols, pose);
  cv::Mat1b ink;
  cv::warpAffine(ink_of(mark), ink, map, exemplar.size(), cv::INTER_LINEAR, cv::BORDER_CONSTANT, cv::Scalar(0));
  cv::Mat3b picture(exemplar.size());
  for (int y = 0; y < picture.rows; ++y) {
    for (int x = 0; x < picture.cols; ++x) {
      const int grey = 95 + exemplar(y, x) * 160 / 255;
      const int light = grey * (255 - ink(y, x) * 3 / 4) / 255;
      picture(y, x) = {cv::saturate_cast<uchar>(light), cv::saturate_cast<uchar>(light),
                       cv::saturate_cast<uchar>(grey * (255 - ink(y, x) / 8) / 255)};
    }
  }
  std::vector<cv::Point> corners;
  constexpr int kFractionBits = 4;
  for (const auto& [x, y] : {cv::Point2d(-0.5, -0.5), cv::Point2d(mark.cols - 0.5, -0.5),
                             cv::Point2d(mark.cols - 0.5, mark.rows - 0.5), cv::Point2d(-0.5, mark.rows - 0.5)}) {
    const cv::Vec2d at = map * cv::Vec3d(x, y, 1);
    corners.emplace_back(cv::saturate_cast<int>(at[0] * (1 << kFractionBits)),
                         cv::saturate_cast<int>(at[1] * (1 << kFractionBits)));
  }
  const int thickness = std::max(1, static_cast<int>(std::lround(1.5 / fitting_factor(exemplar.size()))));
  cv::polylines(picture, corners, true, kOutline, thickness, cv::LINE_AA, kFractionBits);
  return picture;
}

/// An image with its lines of text below, on a panel of its own.
struct Panel {
  cv::Mat3b image;
  std::array<std::string, 3> lines;
  bool is_true = false;

  int width() const { return std::max(image.cols, kMinPanelWidth); }
};

cv::Mat3b side_by_side(std::span<const Panel> panels) {
  int width = kGap;
  for (const Panel& panel : panels) width += panel.width() + kGap;
  cv::Mat3b picture(kPanelHeight + kTextHeight + 2 * kGap, width, cv::Vec3b(255, 255, 255));
  int left = kGap;
  for (const Panel& panel : panels) {
    const cv::Rect place(left + (panel.width() - panel.image.cols) / 2, kGap + (kPanelHeight - panel.image.rows) / 2,
                         panel.image.cols, panel.image.rows);
    panel.image.copyTo(picture(place));
    const int border = panel.is_true ? kFrame : 1;
    const cv::Rect around(place.x - border, place.y - border, place.width + 2 * border, place.height + 2 * border);
    cv::rectangle(picture, around, panel.is_true ? kTrue : kEdge, border);
    for (std::size_t i = 0; i < panel.lines.size(); ++i) {
      put_text(picture, panel.lines[i], left, kGap + kPanelHeight + 22 + 18 * static_cast<int>(i),
               panel.is_true ? kTrue : kText);
    }
    left += panel.width() + kGap;
  }
  return picture;
}

/// The mark at the candidates' scale, or smaller where it would not fit.
Panel mark_panel(const cv::Mat1b& mark, const std::string& mark_id, const std::string& note, double factor) {
  cv::Mat3b colour;
  cv::cvtColor(mark, colour, cv::COLOR_GRAY2BGR);
  return {resized(colour, std::min(factor, fitting_factor(mark.size()))),
          {"mark " + printable(mark_id, 14), printable(note, 22), ""},
          false};
}

Panel candidate_panel(const cv::Mat1b& mark, const Candidate& candidate) {
  std::array<char, 64> score{}, pose{};
  std::snprintf(score.data(), score.size(), "score %.4f", candidate.score);
  std::snprintf(pose.data(), pose.size(), "%+.0f deg%s", candidate.pose.angle_deg,
                candidate.pose.mirrored ? ", mirrored" : "");
  const std::string title = std::to_string(candidate.rank) + ": " + printable(candidate.id, 14);
  const cv::Mat3b picture = laid_on(candidate.exemplar, mark, candidate.pose);
  return {resized(picture, fitting_factor(picture.size())), {title, score.data(), pose.data()}, candidate.is_true};
}

/// One exemplar of a mark's stored list.
struct ListEntry {
  std::int64_t exemplar;  // position in exemplar_ids
  double score;
  image::MarkPose pose;
};

/// The lists of a results store, mark by mark.
struct ResultLists {
  explicit ResultLists(const store::Store& results)
      : mark_ids(retrieval::read_ids(results, "mark_id")),
        mark_sha256(retrieval::read_ids(results, "mark_sha256")),
        exemplar_ids(retrieval::read_ids(results, "exemplar_id")),
        length(results.shape("top_exemplar").at(1)),
        scale(values<double>(results, "scale")),
        exemplar(values<std::int32_t>(results, "top_exemplar")),
        score(values<float>(results, "top_score")),
        angle_deg(values<double>(results, "top_angle_deg")),
        y_px(values<double>(results, "top_y_px")),
        x_px(values<double>(results, "top_x_px")),
        mirrored(values<std::uint8_t>(results, "top_mirrored")) {}

  template <typename T>
  static std::vector<T> values(const store::Store& results, const std::string& dataset) {
    return std::get<std::vector<T>>(results.read(dataset).values);
  }

  /// The first entries of a mark's list; it may be shorter than its row, where positions are negative. Throws DataError
  /// for a position or a pose that does not exist.
  std::vector<ListEntry> head(std::size_t row, std::int64_t count) const {
    std::vector<ListEntry> entries;
    for (std::int64_t place = 0; place < std::min(count, length); ++place) {
      const auto at = row * static_cast<std::size_t>(length) + static_cast<std::size_t>(place);
      if (exemplar[at] < 0) break;
      if (exemplar[at] >= std::ssize(exemplar_ids)) {
        throw DataError("mark '" + mark_ids[row] + "': its list names exemplar " + std::to_string(exemplar[at]) +
                        " of " + std::to_string(exemplar_ids.size()));
      }
      const bool is_pose = std::isfinite(angle_deg[at]) && std::isfinite(y_px[at]) && std::isfinite(x_px[at]) &&
                           std::isfinite(scale[row]) && scale[row] > 0;
      if (!is_pose) throw DataError("mark '" + mark_ids[row] + "': its list holds an impossible pose");
      entries.push_back({exemplar[at], score[at], {angle_deg[at], y_px[at], x_px[at], scale[row], mirrored[at] != 0}});
    }
    return entries;
  }

  std::vector<std::string> mark_ids, mark_sha256, exemplar_ids;
  std::int64_t length;
  std::vector<double> scale;
  std::vector<std::int32_t> exemplar;
  std::vector<float> score;
  std::vector<double> angle_deg, y_px, x_px;
  std::vector<std::uint8_t> mirrored;
};

std::map<std::string, fs::path> files_by_id(const std::vector<fs::path>& inputs) {
  std::map<std::string, fs::path> files;
  for (const fs::path& file : list_inputs(inputs, image::image_extensions())) files.emplace(id_of(file), file);
  return files;
}

/// A mark that gets a picture.
struct PicturedMark {
  std::int64_t row = 0;                      // of the results
  std::vector<std::int64_t> true_exemplars;  // positions in exemplar_ids, ascending; empty where nobody knows
  std::string note;
};

std::vector<PicturedMark> all_marks(const ResultLists& lists) {
  std::vector<PicturedMark> marks(lists.mark_ids.size());
  for (std::size_t row = 0; row < marks.size(); ++row) marks[row].row = static_cast<std::int64_t>(row);
  return marks;
}

std::vector<PicturedMark> labelled_marks(const store::Store& results, const ResultLists& lists,
                                         const retrieval::Labels& labels) {
  const retrieval::Truth truth = retrieval::resolve_labels(labels, lists.mark_ids, lists.exemplar_ids);
  const retrieval::RetrievalRanks ranks = retrieval::rank_true_exemplars(results, truth);
  std::vector<PicturedMark> marks;
  for (std::size_t i = 0; i < ranks.mark_rows.size(); ++i) {
    const auto& found = ranks.ranks[i].ranks;
    const std::int64_t row = ranks.mark_rows[i];
    marks.push_back({row, truth.exemplars[static_cast<std::size_t>(row)],
                     found.empty() ? "true one beyond list" : "true one at " + std::to_string(found.front())});
  }
  return marks;
}

/// The files of these marks, by row. Throws DataError for one that is missing or not the file that was searched.
std::map<std::int64_t, fs::path> files_of_marks(const std::vector<fs::path>& inputs, const ResultLists& lists,
                                                const std::vector<PicturedMark>& marks) {
  const auto by_id = files_by_id(inputs);
  std::map<std::int64_t, fs::path> files;
  for (const auto& [row, true_exemplars, note] : marks) {
    const std::string& id = lists.mark_ids[static_cast<std::size_t>(row)];
    const auto found = by_id.find(id);
    if (found == by_id.end()) throw DataError("mark '" + id + "': no image of this name among `marks`");
    if (sha256_of_file(found->second) != lists.mark_sha256[static_cast<std::size_t>(row)]) {
      throw DataError(found->second.string() + ": is not the file that was searched as mark '" + id +
                      "' (SHA-256 differs)");
    }
    files.emplace(row, found->second);
  }
  return files;
}

/// Where the store keeps each exemplar of the results. Throws DataError for one that it lacks.
std::vector<std::int64_t> places_of_exemplars(const fs::path& path, const ingest::ExemplarStore& exemplars,
                                              const std::vector<std::string>& ids) {
  std::map<std::string, std::int64_t> stored;
  for (const std::string& id : exemplars.ids()) stored.emplace(id, std::ssize(stored));
  std::vector<std::int64_t> places;
  for (const std::string& id : ids) {
    const auto found = stored.find(id);
    if (found == stored.end())
      throw DataError(path.string() + ": has no exemplar '" + id + "', which the results name");
    places.push_back(found->second);
  }
  return places;
}

}  // namespace

cv::Mat3b candidates_picture(const cv::Mat1b& mark, const std::string& mark_id, const std::string& note,
                             std::span<const Candidate> candidates) {
  double factor = fitting_factor(mark.size());
  if (!candidates.empty()) factor = fitting_factor(candidates[0].exemplar.size()) * candidates[0].pose.scale;
  std::vector<Panel> panels{mark_panel(mark, mark_id, note, factor)};
  for (const Candidate& candidate : candidates) panels.push_back(candidate_panel(mark, candidate));
  return side_by_side(panels);
}

void write_candidate_pictures(const CandidatePicturesOptions& options) {
  const store::Store results(options.results, "outsole.results");
  const ingest::ExemplarStore exemplars(options.exemplars);
  const ResultLists lists(results);
  const std::vector<PicturedMark> marks =
      options.labels ? labelled_marks(results, lists, *options.labels) : all_marks(lists);
  const auto mark_files = files_of_marks(options.marks, lists, marks);
  const auto places = places_of_exemplars(options.exemplars, exemplars, lists.exemplar_ids);
  std::error_code error;
  fs::create_directories(options.output, error);
  if (error) throw EnvironmentError(options.output.string() + ": cannot be created: " + error.message());

  for (const PicturedMark& mark : marks) {
    const auto row = static_cast<std::size_t>(mark.row);
    const fs::path& file = mark_files.at(mark.row);
    std::vector<Candidate> candidates;
    for (const ListEntry& entry : lists.head(row, options.candidates)) {
      const auto position = static_cast<std::size_t>(entry.exemplar);
      candidates.push_back({image::to_8_bit(retrieval::exemplar_image(exemplars.record(places[position]))),
                            lists.exemplar_ids[position], std::ssize(candidates) + 1, entry.score, entry.pose,
                            std::ranges::binary_search(mark.true_exemplars, entry.exemplar)});
    }
    // The file's own name, not the stored id: it cannot lead out of the folder.
    image::write_image(
        options.output / (id_of(file) + ".png"),
        candidates_picture(image::to_8_bit(image::read_image(file).grey), lists.mark_ids[row], mark.note, candidates));
  }
}

}  // namespace outsole::report
