#pragma once
// Removes what the scanner adds to a print (veil, dust, fibres, finger marks, ghosts) and leaves the print as it is.
//
// The published order: local adaptive threshold -> ink mask; region-of-interest filter and morphology -> noise map,
// each block feature (a connected group of tread) on its own; averaging filter where the noise map says so. The paper
// gives no numbers; those here were chosen on 2D scans of worn shoes. Sizes are amounts of ink in mm2 and mm, so that
// they mean the same whether a pixel is finer than what it shows or coarser.
//
// Where ink may be part of the tread it stays: what lies within a block feature or at its soft edge is never touched,
// and a speck is dust only where it lies alone: tread that hardly touches the ground leaves grains, near each other.
// So faults upon tread remain: a bubble, a fibre across a block, detail that did not print.

#include <cstdint>
#include <opencv2/core.hpp>
#include <vector>

namespace outsole::image {

/// Lengths on the outsole, and grey levels out of 255.
struct DenoiseParameters {
  double threshold_window_mm = 6;  // of the local mean
  int threshold_offset = 12;       // ink is darker than the local mean by this,
  int surely_ink = 204;            // or darker than this (no veil takes more than a fifth of the light),
  int surely_paper = 210;          // and never lighter than this, in veils
  double region_gap_mm = 20;       // parts of one outsole lie no farther apart,
  double region_ink_share = 0.02;  // or hold at least this share of all ink
  double feature_gap_mm = 1;       // ink no farther apart belongs to one block feature
  double least_ink_mm2 = 0.2;      // less, taken as full black, is a speck: half a mm across
  double sure_ink_mm2 = 0.5;       // surely tread holds at least this much, and presses:
  int dark_level = 128;            // of its ink,
  double least_dark_share = 0.15;  // this share at least is darker
  double doubtful_mm = 8;          // smaller and fainter ink is tread if sure tread lies no farther
  double fibre_width_mm = 0.2;     // a connected part that is no wider on average, taken as full black,
  double fibre_length_mm = 4;      // and at least as long, is a fibre where it lies alone;
  double sure_fibre_mm = 9;        // if this long, anywhere
  double lonely_mm = 3;            // alone: no other part within this; a speck with others near is a grain of tread
  double soft_edge_mm = 0.4;       // around ink, and a pixel at least
  int paper_tolerance = 3;         // paper deviates no more from its usual level
  double averaging_window_mm = 4;
};

/// A group of connected tread, in cells of the analysis grid.
struct BlockFeature {
  cv::Rect cells;
  std::int64_t ink_px = 0;
  std::int64_t dark_px = 0;  // of them, darker than `dark_level`
  double black_px = 0;       // the same amount of ink in full black pixels
  bool is_tread = true;      // otherwise noise: dust, a ghost, a fibre, or outside of the outsole
};

/// Each step's result.
struct Denoised {
  cv::Mat1b ink_mask;   // 255: ink
  cv::Mat1b noise_map;  // 255: replaced
  cv::Mat1b image;
  std::vector<BlockFeature> features;
};

/// Local adaptive threshold: ink (255) where a pixel is darker than the mean around it less an offset; that limit is
/// held between the levels that are surely ink and surely paper, so that large faint blocks are ink throughout.
cv::Mat1b ink_mask(const cv::Mat1b& scan, double px_per_mm, const DenoiseParameters& parameters = {});

/// All pixels that are neither paper nor part of a block feature of the outsole or of its soft edge (255).
/// `features` receives every block feature.
cv::Mat1b noise_map(const cv::Mat1b& scan, const cv::Mat1b& ink_mask, double px_per_mm,
                    std::vector<BlockFeature>& features, const DenoiseParameters& parameters = {});

/// The scan, each pixel of the noise map replaced by the mean of the clean paper around it.
cv::Mat1b averaged_where_noisy(const cv::Mat1b& scan, const cv::Mat1b& ink_mask, const cv::Mat1b& noise_map,
                               double px_per_mm, const DenoiseParameters& parameters = {});

/// All steps in a row.
Denoised denoise(const cv::Mat1b& scan, double px_per_mm, const DenoiseParameters& parameters = {});

}  // namespace outsole::image
