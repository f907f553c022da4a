#include "image/consensus.h"

#include "core/errors.h"

namespace outsole::image {

Consensus filled_by_consensus(const AlignedScan& scan, const AlignedScan& before, const AlignedScan& after,
                              int least_drop) {
  const cv::Size size = scan.pixels.size();
  for (const AlignedScan* part : {&scan, &before, &after}) {
    ensure(part->pixels.size() == size && part->support.size() == size, "scans in one frame have one size");
  }
  cv::Mat agreed;  // the ink that both witnesses show; cv::Mat: on cv::Mat1b, cv::max would be std::max
  cv::max(cv::Mat(before.pixels), cv::Mat(after.pixels), agreed);
  cv::Mat1b drop;
  cv::subtract(scan.pixels, agreed, drop);
  Consensus result{scan.pixels.clone(), (drop >= least_drop) & scan.support & before.support & after.support};
  agreed.copyTo(result.pixels, result.filled);
  return result;
}

}  // namespace outsole::image
