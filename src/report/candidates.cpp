#include "report/candidates.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "image/image.h"
#include "ingest/exemplars.h"
#include "report/draw.h"
#include "report/result_lists.h"
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

/// The edges of what was searched, as polygons in the mark's pixels: of its support, or of all of it.
std::vector<std::vector<cv::Point2d>> outlines_of(const cv::Mat1b& mark, const cv::Mat1b& support) {
  if (support.empty()) {
    return {{{-0.5, -0.5}, {mark.cols - 0.5, -0.5}, {mark.cols - 0.5, mark.rows - 0.5}, {-0.5, mark.rows - 0.5}}};
  }
  std::vector<std::vector<cv::Point>> contours;
  cv::findContours(support, contours, cv::RETR_LIST, cv::CHAIN_APPROX_SIMPLE);
  std::vector<std::vector<cv::Point2d>> outlines;
  for (const auto& contour : contours) outlines.emplace_back(contour.begin(), contour.end());
  return outlines;
}

/// The exemplar in pale grey, the mark's ink over it in red: where both have ink it is dark red.
cv::Mat3b laid_on(const cv::Mat1b& exemplar, const cv::Mat1b& mark, const cv::Mat1b& support,
                  const image::MarkPose& pose) {
  const cv::Matx23d map = image::mark_to_exemplar(mark.rows, mark.cols, pose);
  cv::Mat1b ink;
  cv::warpAffine(ink_of(mark, support), ink, map, exemplar.size(), cv::INTER_LINEAR, cv::BORDER_CONSTANT,
                 cv::Scalar(0));
  cv::Mat3b picture(exemplar.size());
  for (int y = 0; y < picture.rows; ++y) {
    for (int x = 0; x < picture.cols; ++x) {
      const int grey = 95 + exemplar(y, x) * 160 / 255;
      const int light = grey * (255 - ink(y, x) * 3 / 4) / 255;
      picture(y, x) = {cv::saturate_cast<uchar>(light), cv::saturate_cast<uchar>(light),
                       cv::saturate_cast<uchar>(grey * (255 - ink(y, x) / 8) / 255)};
    }
  }
  constexpr int kFractionBits = 4;
  std::vector<std::vector<cv::Point>> polygons;
  for (const auto& outline : outlines_of(mark, support)) {
    std::vector<cv::Point>& polygon = polygons.emplace_back();
    for (const auto& [x, y] : outline) {
      const cv::Vec2d at = map * cv::Vec3d(x, y, 1);
      polygon.emplace_back(cv::saturate_cast<int>(at[0] * (1 << kFractionBits)),
                           cv::saturate_cast<int>(at[1] * (1 << kFractionBits)));
    }
  }
  const int thickness = std::max(1, static_cast<int>(std::lround(1.5 / fitting_factor(exemplar.size()))));
  cv::polylines(picture, polygons, true, kOutline, thickness, cv::LINE_AA, kFractionBits);
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

/// The mark at the candidates' scale, or smaller where it would not fit; what its mask leaves out is pale.
Panel mark_panel(const cv::Mat1b& mark, const cv::Mat1b& support, const std::string& mark_id, const std::string& note,
                 const std::string& scale, double factor) {
  cv::Mat3b colour;
  cv::cvtColor(mark, colour, cv::COLOR_GRAY2BGR);
  if (!support.empty()) {
    cv::Mat3b pale;
    colour.convertTo(pale, CV_8U, 0.3, 178);
    pale.copyTo(colour, support == 0);
  }
  return {resized(colour, std::min(factor, fitting_factor(mark.size()))),
          {"mark " + printable(mark_id, 14), printable(note, 22), scale},
          false};
}

Panel candidate_panel(const cv::Mat1b& mark, const cv::Mat1b& support, const Candidate& candidate) {
  std::array<char, 64> score{}, pose{};
  std::snprintf(score.data(), score.size(), "score %.4f", candidate.score);
  std::snprintf(pose.data(), pose.size(), "%+.0f deg%s", candidate.pose.angle_deg,
                candidate.pose.mirrored ? ", mirrored" : "");
  const std::string title = std::to_string(candidate.rank) + ": " + printable(candidate.id, 14);
  const cv::Mat3b picture = laid_on(candidate.exemplar, mark, support, candidate.pose);
  return {resized(picture, fitting_factor(picture.size())), {title, score.data(), pose.data()}, candidate.is_true};
}

}  // namespace

std::string scale_note(double mark_dpi, double scale) {
  std::array<char, 64> text{};
  if (mark_dpi > 0 && scale == 1) std::snprintf(text.data(), text.size(), "%.4g dpi", mark_dpi);
  if (mark_dpi > 0 && scale != 1) std::snprintf(text.data(), text.size(), "%.4g dpi, scale %.3g", mark_dpi, scale);
  if (mark_dpi <= 0 && scale != 1) std::snprintf(text.data(), text.size(), "scale %.3g", scale);
  return text.data();
}

cv::Mat3b candidates_picture(const cv::Mat1b& mark, const std::string& mark_id, const std::string& note,
                             std::span<const Candidate> candidates, double mark_dpi, const cv::Mat1b& support) {
  double factor = fitting_factor(mark.size());
  if (!candidates.empty()) factor = fitting_factor(candidates[0].exemplar.size()) * candidates[0].pose.scale;
  const double scale = candidates.empty() ? 1 : candidates[0].pose.scale;
  std::vector<Panel> panels{mark_panel(mark, support, mark_id, note, scale_note(mark_dpi, scale), factor)};
  for (const Candidate& candidate : candidates) panels.push_back(candidate_panel(mark, support, candidate));
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
    const image::DecodedImage read = image::read_mark(file);
    // The file's own name, not the stored id: it cannot lead out of the folder.
    image::write_image(options.output / (id_of(file) + ".png"),
                       candidates_picture(image::to_8_bit(read.grey), lists.mark_ids[row], mark.note, candidates,
                                          lists.mark_dpi[row], read.support));
  }
}

}  // namespace outsole::report
