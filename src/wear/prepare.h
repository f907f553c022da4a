#pragma once
// Scans to clean, aligned scans, spread over ranks: crop, denoise, register, bring to one size.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <opencv2/core.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "image/denoise.h"
#include "image/register.h"
#include "ingest/scans.h"
#include "wear/prepared.h"

namespace outsole::wear {

/// A scan on its way, for pictures. What a step that was switched off would have made is empty.
struct PreparationSteps {
  const PreparedInfo& info;
  const cv::Mat1b& cropped;
  const image::Denoised& denoised;
  const cv::Mat1b& result;   // in the frame
  const cv::Mat1b& support;  // 255 where the result is known
  const cv::Mat1b& filled;   // 255 where it is what other scans show
};

struct PrepareOptions {
  std::filesystem::path scans;   // a store of schema outsole.scans
  std::filesystem::path output;  // NAME.h5
  std::optional<cv::Size> size;  // of the prepared scans; the scanner's own resolution if not given
  bool crops = true;
  bool whitens = true;  // paper that is not white becomes so (image/paper.h)
  bool denoises = true;
  bool registers = true;
  bool mirrors_right = false;             // right outsoles left to right, so that they look like left ones
  std::optional<double> dpi;              // of scans whose own resolution is unknown
  std::optional<double> consensus_weeks;  // fills what did not print from scans so many weeks before and after, or less
  image::RegistrationParameters registration;
  std::int64_t memory_bytes = std::int64_t{4} << 30;  // per rank
  bool strict = false;                                // a scan that cannot be registered stops the job
  std::vector<std::string> command_line;              // for provenance
  /// Called on the rank that prepared the scan, once a scan, with what each step made; may be empty.
  std::function<void(const PreparationSteps&)> on_scan;
};

struct PrepareFacts {
  std::int64_t scans = 0;
  std::int64_t shoes = 0;
  std::int64_t units = 0;
  std::int64_t height_px = 0, width_px = 0;  // of the prepared scans
  double scale = 1;                          // their resolution over the scans'
  double dpi = 0;                            // the scans'
};

struct FlaggedScan {
  std::string id;
  std::string reason;
};

struct PrepareSummary {
  PrepareFacts facts;
  bool was_finished = false;  // the store was there already, made by the same command
  std::vector<FlaggedScan> flagged;
};

/// What prepare_scans would do. Reads one scan of each shoe. Collective; every rank gets them.
PrepareFacts prepare_facts(const comm::Communicator& comm, const PrepareOptions& options);

/// Prepares every scan of `options.scans` and writes `options.output`, with provenance beside it. The reference of a
/// shoe is its earliest scan (of the lowest id, if there are several); its outsole stands in the middle of the frame,
/// and the frame has the size of the largest reference's window. A scan that cannot be registered stays where it is and
/// carries the reason as its flag. What lies outside of a scan's window is white and has no support. 16-bit scans are
/// brought to 8 bit. With `consensus_weeks`, ink that a scan lacks and the nearest scans of the shoe before and after
/// both show is filled (image/consensus.h), and the store says where. Scans are taken in the order of shoe, week and
/// id; the bytes do not depend on the ranks. Carries on from the shards of an interrupted run. Collective; the summary
/// is rank 0's. Throws on every rank: UsageError for an impossible size or an unknown resolution, DataError for scans
/// of several resolutions or a broken store (and, under `strict`, for a flagged scan), EnvironmentError, and
/// StopRequested at the end of a unit after a signal.
PrepareSummary prepare_scans(const comm::Communicator& comm, const PrepareOptions& options);

}  // namespace outsole::wear
