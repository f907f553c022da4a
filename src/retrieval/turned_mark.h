#pragma once
// A mark on its canvas, turned: what the views of mark_features.h are taken from.

#include <ATen/ATen.h>

#include <cstdint>

#include "features/extractor.h"
#include "retrieval/mark_features.h"

namespace outsole::retrieval {

/// The canvas of a mark turned by one angle.
struct TurnedMark {
  at::Tensor image;    // [canvas_height, canvas_width] float32
  at::Tensor support;  // the same, bool
};

/// `angle` is an index into the grid's.
TurnedMark turn(const ScaledMark& mark, std::int64_t angle);

/// The eroded support on the cells of the map of the canvas from `offset` on; `mask` is that of the canvas.
at::Tensor support_of_view(const at::Tensor& mask, const match::ViewOffset& offset,
                           const features::Extractor& extractor, const IndexParameters& index,
                           const SearchProtocol& protocol);

}  // namespace outsole::retrieval
