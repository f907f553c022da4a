#include "report/wear_strip.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <map>
#include <opencv2/imgproc.hpp>

#include "core/errors.h"
#include "image/image.h"
#include "ingest/image_record.h"
#include "report/draw.h"
#include "wear/predict.h"

namespace outsole::report {

namespace fs = std::filesystem;

namespace {

constexpr int kStripHeight = 640, kMostEnlarged = 8, kStripGap = 12, kTitleHeight = 26, kLeastWidth = 250;
const cv::Scalar kTruth(200, 110, 20);

std::string weeks_text(double weeks) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", weeks);
  return text.data();
}

/// "08", "34", "12.3": names of files sort by time.
std::string weeks_in_file_name(double weeks) {
  std::string text = weeks_text(weeks);
  if (weeks < 10) text.insert(text.begin(), '0');
  return text;
}

/// Enlarged so that each pixel stays one square, or reduced.
cv::Mat3b scaled(const cv::Mat1b& image) {
  const double factor = static_cast<double>(kStripHeight) / image.rows;
  const int whole = std::clamp(static_cast<int>(factor), 1, kMostEnlarged);
  const double scale = factor < 1 ? factor : whole;
  cv::Mat1b result;
  cv::resize(image, result,
             {std::max(1, static_cast<int>(image.cols * scale)), std::max(1, static_cast<int>(image.rows * scale))}, 0,
             0, factor < 1 ? cv::INTER_AREA : cv::INTER_NEAREST);
  cv::Mat3b colour;
  cv::cvtColor(result, colour, cv::COLOR_GRAY2BGR);
  return colour;
}

/// A row of the store.
struct Prediction {
  double weeks = 0, target_week = 0;
  cv::Mat1b image;
};

std::vector<Prediction> read_predictions(const store::Store& store, const std::vector<std::int64_t>& rows) {
  std::vector<Prediction> predictions;
  for (const std::int64_t row : rows) {
    const auto value = [&]<typename Value>(const char* name, Value) {
      return std::get<std::vector<Value>>(store.read(name, row, 1).values).front();
    };
    const auto pixels = std::get<std::vector<std::uint8_t>>(store.read("pixels", row, 1).values);
    const std::int64_t height_px = value("height_px", std::int32_t{}), width_px = value("width_px", std::int32_t{});
    if (height_px < 1 || width_px < 1 || std::ssize(pixels) != height_px * width_px) {
      throw DataError(store.path().string() + ", data set 'pixels', row " + std::to_string(row) +
                      ": not as many as its size says");
    }
    predictions.push_back(
        {value("weeks", double{}), value("target_week", double{}), ingest::byte_image(pixels, height_px, width_px)});
  }
  std::ranges::stable_sort(predictions, {}, &Prediction::weeks);
  return predictions;
}

std::string input_title(const wear::WearInputs& inputs, std::int64_t input) {
  const wear::PreparedInfo* scan = inputs.scan(input);
  return scan == nullptr ? "input" : "input, week " + weeks_text(scan->subject.week);
}

std::string prediction_title(const Prediction& prediction, wear::Task task) {
  if (task == wear::Task::kReconstruction) return "model, week " + weeks_text(prediction.weeks);
  const std::string later = "model, +" + weeks_text(prediction.weeks) + " weeks";
  return std::isnan(prediction.target_week) ? later : later + ": week " + weeks_text(prediction.target_week);
}

std::vector<StripPanel> panels_of(const std::vector<Prediction>& predictions, wear::Task task,
                                  const wear::WearInputs& inputs, std::int64_t input) {
  const cv::Size size = predictions.front().image.size();
  std::vector<StripPanel> panels{{input_title(inputs, input), wear::fitted_on_paper(inputs.image(input), size)}};
  for (const Prediction& prediction : predictions) {
    panels.push_back({prediction_title(prediction, task), prediction.image});
    if (const auto row = inputs.row_of_week(input, prediction.target_week)) {
      panels.push_back({"truth, week " + weeks_text(inputs.scan_of_row(*row).subject.week),
                        wear::fitted_on_paper(inputs.image_of_row(*row), size), true});
    }
  }
  return panels;
}

}  // namespace

cv::Mat3b wear_strip(const std::vector<StripPanel>& panels, const cv::Rect& region) {
  std::vector<cv::Mat3b> images;
  for (const StripPanel& panel : panels) {
    const cv::Rect part = region & cv::Rect({0, 0}, panel.image.size());
    images.push_back(part.empty() ? cv::Mat3b() : scaled(panel.image(part)));
  }
  int width = kStripGap, height = 0;
  for (const cv::Mat3b& image : images) {
    if (!image.empty()) width += std::max(image.cols, kLeastWidth) + kStripGap;
    height = std::max(height, image.rows);
  }
  if (height == 0) throw UsageError("the part to show lies outside the images");
  cv::Mat3b picture(kTitleHeight + height + kStripGap, width, cv::Vec3b(255, 255, 255));
  int left = kStripGap;
  for (std::size_t i = 0; i < panels.size(); ++i) {
    if (images[i].empty()) continue;
    const cv::Rect at({left, kTitleHeight}, images[i].size());
    images[i].copyTo(picture(at));
    const cv::Scalar& edge = panels[i].is_truth ? kTruth : kEdge;
    cv::rectangle(picture, cv::Rect(at.x - 1, at.y - 1, at.width + 2, at.height + 2), edge, 1);
    put_text(picture, printable(panels[i].title, 40), left, kTitleHeight - 9, panels[i].is_truth ? kTruth : kText, 0.4);
    left += std::max(images[i].cols, kLeastWidth) + kStripGap;
  }
  return picture;
}

cv::Mat3b judged_picture(const wear::JudgedPair& judged) {
  std::vector<StripPanel> panels{{fmt::format("input, week {:.4g}", judged.input.subject.week), judged.input_image},
                                 {fmt::format("truth, week {:.4g}", judged.target.subject.week), judged.truth, true}};
  for (const wear::WearAnswer& answer : judged.answers) {
    std::string name = answer.name;
    std::ranges::replace(name, '_', ' ');
    panels.push_back({fmt::format("{}: {:.3f}, {:.1f} dB", name, answer.ssim, answer.psnr_db), answer.image});
  }
  return wear_strip(panels, {{0, 0}, judged.truth.size()});
}

void write_wear_pictures(const WearPicturesOptions& options, const wear::WearInputs& inputs, std::int64_t first,
                         std::int64_t last) {
  const store::Store store(options.predictions, wear::kPredictionsSchema);
  const wear::Task task = wear::parse_task(store.header().parameters.at("task").get<std::string>());
  const auto ids = std::get<std::vector<std::string>>(store.read("input_id").values);
  std::map<std::string, std::vector<std::int64_t>> rows_of;
  for (std::size_t row = 0; row < ids.size(); ++row) rows_of[ids[row]].push_back(static_cast<std::int64_t>(row));
  for (std::int64_t input = first; input < last; ++input) {
    const auto rows = rows_of.find(inputs.id(input));
    if (rows == rows_of.end()) continue;
    const std::vector<Prediction> predictions = read_predictions(store, rows->second);
    // The last part of the id alone: a crafted store must not lead out of the folder.
    const std::string stem = (options.output / fs::path(inputs.id(input)).filename()).string();
    for (const Prediction& prediction : predictions) {
      image::write_image(stem + ".weeks_" + weeks_in_file_name(prediction.weeks) + ".png", prediction.image);
    }
    const std::vector<StripPanel> panels = panels_of(predictions, task, inputs, input);
    image::write_image(stem + ".strip.png", wear_strip(panels, {{0, 0}, predictions.front().image.size()}));
    if (options.crop) image::write_image(stem + ".crop.png", wear_strip(panels, *options.crop));
  }
}

}  // namespace outsole::report
