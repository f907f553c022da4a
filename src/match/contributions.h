#pragma once
// What each cell of each channel adds to a score: the search's formula (similarity.h) at one pose, term by term.

#include <ATen/ATen.h>

#include "match/mcncc.h"

namespace outsole::match {

/// Maps of a mark and of an exemplar under each other at a pose, x and y [C, h, w] as an extractor gives them, and the
/// mark's support [h, w] (bool, not empty) -> [C, h, w], which add up to the score. In the maps' floating type, and
/// differentiable by both of them. Throws UsageError for a distance, which has no such terms.
at::Tensor contributions(const at::Tensor& x, const at::Tensor& y, const at::Tensor& support,
                         const ChannelModel& channels, const Similarity& similarity);

}  // namespace outsole::match
