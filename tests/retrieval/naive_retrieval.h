#pragma once
// The search of marks among exemplars straight from its definition: one pose, one channel, one cell at a time, in
// double precision, on the exemplars' whole maps, without blocks, borders, prefix sums or shared views.

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <opencv2/core.hpp>
#include <vector>

#include "features/extractor.h"

namespace outsole::retrieval::testing {

struct NaiveExemplar {
  cv::Mat1b image;  // as its file holds it
  bool mirror = false;
};

struct NaiveMark {
  cv::Mat1b image;
  cv::Mat1b mask;  // white counts; empty: everywhere
};

struct NaiveProtocol {
  std::vector<double> angles_deg = {0};
  std::int64_t stride_px = 2;
  double image_scale = 0.5;
  double erosion_fraction = 0.1;
};

/// A pose as people read it: where the mark's centre lies on the exemplar's own image.
struct NaivePose {
  double angle_deg = 0, y_px = 0, x_px = 0;
};

/// Every pose of one mark on one exemplar.
struct NaiveScores {
  std::vector<NaivePose> poses;  // by angle, y, x of the grid
  std::vector<double> scores;    // -infinity where the support is empty

  std::size_t best() const;  // the first of the highest score
  /// The score at a pose; NaN when the grid lacks it.
  double at(const NaivePose& pose) const;
};

/// The exemplars of an index: brought to the frame of the largest ones, scaled, as feature maps.
class NaiveRetrieval {
 public:
  NaiveRetrieval(const std::vector<NaiveExemplar>& exemplars, const features::ExtractorSpec& spec,
                 NaiveProtocol protocol);

  /// The scores of the mark on each exemplar.
  std::vector<NaiveScores> search(const NaiveMark& mark) const;

  std::int64_t frame_height_px() const { return frame_height_px_; }
  std::int64_t frame_width_px() const { return frame_width_px_; }
  double mean_grey() const { return mean_grey_; }
  /// [C, H, W] of each exemplar's whole frame.
  const std::vector<at::Tensor>& maps() const { return maps_; }

 private:
  NaivePose published(double angle_deg, double y_px, double x_px, const NaiveExemplar& exemplar) const;

  std::vector<NaiveExemplar> exemplars_;
  NaiveProtocol protocol_;
  std::int64_t frame_height_px_ = 0, frame_width_px_ = 0;    // of the exemplars' own resolution
  std::int64_t search_height_px_ = 0, search_width_px_ = 0;  // at the search scale
  double mean_grey_ = 0;
  std::unique_ptr<features::Extractor> extractor_;
  std::vector<at::Tensor> maps_;  // [C, H, W] of each exemplar's whole frame
  std::vector<double> flat_std_;  // of each channel: not above it is flat
};

}  // namespace outsole::retrieval::testing
