#pragma once
// What other scans of the same outsole say of a scan's faults. A capture's faults differ from scan to scan, while the
// tread wears one way: ink that is missing once, and there both before and after, did not print that day.

#include <opencv2/core.hpp>

namespace outsole::image {

/// A scan in the frame of its outsole.
struct AlignedScan {
  cv::Mat1b pixels;   // 255 is paper
  cv::Mat1b support;  // 255 where known, else 0
};

struct Consensus {
  cv::Mat1b pixels;
  cv::Mat1b filled;  // 255 where a pixel was taken from the witnesses, else 0
};

/// Fills what did not print: where the scan is known and lighter, by `least_drop` grey levels or more, than each of its
/// two witnesses, it takes the lighter one's value. Nothing is filled where a witness is unknown. Ink is only added: a
/// mark that is still there in the later scan, or was in the earlier, stays. All three have one size.
Consensus filled_by_consensus(const AlignedScan& scan, const AlignedScan& before, const AlignedScan& after,
                              int least_drop = 96);

}  // namespace outsole::image
