#pragma once
// Which pixels of a mark and of an exemplar make them alike (Kong et al., IJCV 2019, section on what is relevant):
// what the features of both add to the score where they agree, propagated back to the two images.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>

#include "image/pose.h"
#include "ingest/exemplars.h"
#include "match/pose_grid.h"
#include "retrieval/mark_features.h"
#include "retrieval/open_index.h"

namespace outsole::retrieval {

/// A mark as it lies on the exemplars' frame at a pose, at the search scale.
struct PosedMark {
  at::Tensor mark_image;             // [h, w]: the turned canvas from the first pixel of a cell on
  at::Tensor mark_pixels;            // [h, w] bool: the mark's support in it
  at::Tensor support;                // [map_height, map_width] bool: eroded, on the frame's cells
  std::int64_t row = 0, column = 0;  // cell of the mark's map under the frame's first
};

/// A mark over an exemplar at a pose.
struct PosedPair : PosedMark {
  at::Tensor exemplar_image;  // [H, W]: the frame
};

/// What a pose depends on of an exemplar: the width of its image, and whether it was searched mirrored.
struct SeenExemplar {
  std::int64_t width_px = 0;
  bool mirror = false;
};

/// Turns a mark that was read with `protocol`. `pose` is that of a search's results, found with it on this exemplar.
/// Throws DataError when it is none of the protocol's or leaves no support.
PosedMark posed_mark(ScaledMark mark, const SeenExemplar& exemplar, const OpenIndex& index,
                     const SearchProtocol& protocol, const image::MarkPose& pose);

/// The same with the exemplar.
PosedPair posed_pair(const ScaledMark& mark, const ingest::ExemplarRecord& exemplar, const OpenIndex& index,
                     const SearchProtocol& protocol, const image::MarkPose& pose);

/// What of the score is positive, and its gradient.
struct Relevance {
  double score = 0;           // all of it
  double positive = 0;        // sum over channels and cells of max(0, contribution)
  at::Tensor mark, exemplar;  // [H, W] of the frame: magnitude of the gradient of `positive` by each pixel
};

/// Centring and scaling are a part of what is differentiated. In the floating type of the pair's images, on the CPU.
Relevance relevance_of(const PosedPair& pair, const features::Extractor& extractor, const IndexParameters& index,
                       const match::ChannelModel& channels, const match::Similarity& similarity);

/// The `share` of the pixels [H, W] bool of `among` that have the largest gradient; none without any.
at::Tensor most_relevant(const at::Tensor& gradient, const at::Tensor& among, double share);

/// The part of the mark's image, or of its support, that lies on the frame: [H, W].
at::Tensor on_frame(const at::Tensor& mark_canvas, const PosedMark& posed, const IndexParameters& index);

}  // namespace outsole::retrieval
