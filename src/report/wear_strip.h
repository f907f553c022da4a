#pragma once
// What a wear model says, for a person to look at: strips like those of a sheet of prints.

#include <cstdint>
#include <filesystem>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

#include "wear/evaluate_wear.h"
#include "wear/wear_inputs.h"

namespace outsole::report {

/// One image of a strip and what is written above it.
struct StripPanel {
  std::string title;
  cv::Mat1b image;
  bool is_truth = false;  // framed in blue
};

/// The part `region` of every panel that has it, side by side, at one scale: enlarged by a whole factor when small,
/// reduced when larger than a screen. Throws UsageError when no panel has that part.
cv::Mat3b wear_strip(const std::vector<StripPanel>& panels, const cv::Rect& region);

/// The strip of a pair as it was judged: input, truth, and every answer with its scores.
cv::Mat3b judged_picture(const wear::JudgedPair& judged);

struct WearPicturesOptions {
  std::filesystem::path predictions;  // NAME.h5, as wear::predict wrote it
  std::filesystem::path output;       // folder, which exists
  std::optional<cv::Rect> crop;       // in pixels of the predictions
};

/// Writes for each of the inputs [first, last): ID.weeks_NN.png, each prediction as it is; ID.strip.png, the input, the
/// predictions by time, and beside each the truth where the store has a scan of that week; and with `crop` ID.crop.png,
/// that part of the strip enlarged. An input without predictions has no pictures. Any rank, its own inputs. Throws
/// DataError for a damaged store, UsageError for a part that no picture has, EnvironmentError.
void write_wear_pictures(const WearPicturesOptions& options, const wear::WearInputs& inputs, std::int64_t first,
                         std::int64_t last);

}  // namespace outsole::report
