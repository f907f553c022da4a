#pragma once
// The definition of the search, one pose, one channel, one cell at a time, in double precision.

#include <vector>

#include "match/mcncc.h"

namespace outsole::match::testing {

struct NaiveResult {
  double score = -std::numeric_limits<double>::infinity();
  Pose pose;
};

/// The score of one pose: `mark` [C, h, w] with support, its first cell at stored-map cell (row, column) of `exemplar`
/// [C, H, W]; cells nearer than `margin` to the map's edge are no support. -infinity without support.
double naive_score(const MarkView& mark, const at::Tensor& exemplar, std::int64_t row, std::int64_t column,
                   std::int64_t margin, const ChannelModel& channels, Similarity similarity = {});

/// Every pose of every view, for one exemplar [C, H, W] as stored (without border). Ties go to the earlier pose.
NaiveResult naive_search(const std::vector<MarkView>& views, const at::Tensor& exemplar, const FrameCells& frame,
                         std::int64_t erosion_radius, const ChannelModel& channels, Similarity similarity = {});

}  // namespace outsole::match::testing
