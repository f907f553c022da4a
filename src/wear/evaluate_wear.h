#pragma once
// How well a wear model does on pairs it has not seen, beside doing nothing.

#include <ATen/Device.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "machine/plan.h"
#include "wear/prepared.h"

namespace outsole::wear {

/// One answer to a pair and how good it is.
struct WearAnswer {
  std::string name;  // "model", or of a baseline
  cv::Mat1b image;
  double ssim = 0, psnr_db = 0;
};

/// A pair as it was judged, for pictures.
struct JudgedPair {
  const PreparedInfo& input;
  const PreparedInfo& target;
  cv::Mat1b input_image, truth;
  std::vector<WearAnswer> answers;
};

struct EvaluateWearOptions {
  std::filesystem::path model;  // model.h5: names the split it was trained under
  std::filesystem::path scans;  // the prepared store it was trained on, or another: then every pair of it is held out
  std::optional<std::filesystem::path> clean;  // a folder of noise-free scans, to compare with as well
  int split_ranks = 1;                         // that hold an image together, each a slab of its rows
  bool recent_trend = false;                   // judge that answer, too, beside the baselines
  at::Device device = at::kCPU;
  std::int64_t memory_bytes = std::int64_t{4} << 30;
  /// Called once for each target, with its most distant input; on the rank that judges that pair.
  std::function<void(const JudgedPair&)> on_target;
};

/// SSIM and PSNR of the model and every baseline over the held-out pairs. The JSON holds `task`, `split`,
/// `model_sha256`, `scans_sha256`, `trained_on_these_scans`, and a *part* over all pairs; further parts under
/// `by_weeks` (bins of elapsed time), `eight_weeks_and_more`, `same_scan`, and for reconstruction
/// `trained_target_weeks` and `unseen_target_weeks`; and under `clean` the same against noise-free truths.
///
/// A part is `pairs`, `ssim` and `psnr_db`, each with model, persistence, last_training_week, training_mean and
/// linear_trend, each `{mean, std, n}` (sample standard deviation), and `beats_all_baselines` by mean, for each
/// measure. A mean is null where there is nothing to average or an answer equals the truth (infinite dB). Pairs whose
/// input is their target count only in `same_scan`: there the input given back is exact, and nothing has worn.
///
/// With `recent_trend` every measure has that answer, too (see Baselines), which then counts among the baselines.
///
/// A noise-free scan is the image `clean/ID.png` or `.tif`, in the size and pose of the scan ID: it is brought into the
/// prepared frame by the pose that preparation found, so errors of registration count against every answer alike.
///
/// Pairs are cut over ranks, or over teams of `split_ranks` of them, of which the first judges; the result does not
/// depend on their number. Collective; the JSON is complete on rank 0 and null elsewhere. Scans that are larger than
/// the model's images, but of their shape, are shown at that size (see shown_size.h). Throws UsageError for others,
/// DataError for damaged files or when no pair is held out.
nlohmann::ordered_json evaluate_wear(const EvaluateWearOptions& options, const comm::Communicator& comm);

/// What evaluate_wear would take: a pair is judged, without pictures, on every rank's device. Collective; every rank
/// gets the plan. Throws as evaluate_wear.
machine::Plan wear_evaluation_plan(const comm::Communicator& comm, const EvaluateWearOptions& options);

/// The baselines with answers that the model's mean does not exceed, of a part's `ssim` or `psnr_db`.
std::vector<std::string> baselines_not_beaten(const nlohmann::ordered_json& measure);

}  // namespace outsole::wear
