#pragma once
// The search of mcncc.h as tensor operations: the same scores on any device of LibTorch. It is what a GPU runs; on a
// CPU the kernel of mcncc.h is 12 to 15 times faster (tests/benchmarks), and this is its tested fallback.
//
// The views of a mark are laid on one box of cells and repeated at S shifts along x, one row of a matrix each. The rows
// of exemplars under the box at one shift along y are a matrix, too, without being copied: cells lie outermost, then
// channels, then exemplars. So per shift along y and S shifts along x
//
//   sum x y    C products  [views * S, cells] x [cells, exemplars]
//   sum y      one product [views * S, cells] x [cells, C * exemplars], of the supports
//   sum y^2    the same
//
// and the normalization runs over [views * S, C, exemplars].
//
// There is no path by FFT. With the exemplars' spectra kept it takes 1.2 to 2.3 times the flops of the products on
// marks of FID-300, in transforms and passes over memory that run at a seventieth to a hundredth of their rate: 81 to
// 213 times slower than the kernel (tests/benchmarks). It would need supports of some ten thousand cells to win.
//
// Roofline, estimated for a GPU and not measured on one. Of each product's multiply-adds the share (support cells) /
// (cells of the box widened by S - 1) is useful, about 0.45 for a mark turned by up to 20 degrees. Tensor cores do the
// five products (in reduced precision the sums take two each) at K = 1000 cells in about the time that memory takes for
// the twenty passes of 4 bytes that the normalization makes for each pose, channel and exemplar; below that the
// normalization binds. In 32 bit the sums of y and y^2 bind.

#include <ATen/ATen.h>

#include <cstdint>
#include <span>
#include <vector>

#include "match/mcncc.h"

namespace outsole::match {

/// How x and y enter the products. Products are added up, and all statistics of y computed, in 32 bit: in reduced
/// precision the sums of y and y^2 are taken of their leading and their remaining bits apart, which loses none.
/// On a CPU the inputs are rounded in the same way and multiplied in 32 bit: no faster, but it shows what rounding
/// does.
enum class ComputePrecision {
  k32,    // 32-bit floats
  kTf32,  // 10 bits of mantissa, the range of 32-bit floats
  k16,    // 16-bit floats; on a GPU each product's sum is rounded to one, too (2^-11 of an NCC of one channel)
};

/// Views of a mark on one box of cells. M = views * tile_shifts rows of products, by view, then shift.
struct ViewGroup {
  std::int64_t origin_y = 0, origin_x = 0;  // stored-map cell under the box's first cell at shift 0
  std::int64_t height = 0, width = 0;       // of the box
  std::int64_t step = 1;                    // cells between shifts
  std::int64_t shifts_y = 0;
  std::int64_t tile_shifts = 1, tiles = 0;  // shifts along x: a tile has tile_shifts
  at::Tensor x;                             // [C, views, height, width] centred over the support, of norm 1, 0 outside
                                            // (as the similarity says; norm by channel)
  at::Tensor support;                       // [views, height, width] 0 or 1
  at::Tensor inverse_count;    // [tiles, shifts_y, M] 1 / |P|; 0 where P is empty or the pose does not exist
  at::Tensor x_mean, x_scale;  // [tiles, shifts_y, M, C] over P; w_c / norm of x over P, 0 where x is flat
  at::Tensor x_rest;  // [tiles, shifts_y, M] sum_c x_scale * sum_P (x - x_mean), of a mean over all channels; of
                      // a distance the mean of x^2
  at::Tensor pose;    // [tiles, shifts_y, M] int64, in the order of poses
};

/// A mark prepared for tensor operations on a device.
class TensorMark {
 public:
  /// `views`, `erosion_radius`, `channels` and `similarity` as for PreparedMark.
  TensorMark(std::vector<MarkView> views, const FrameCells& frame, std::int64_t erosion_radius,
             const ChannelModel& channels, at::Device device, ComputePrecision precision, Similarity similarity = {});

  double useful_flops_per_exemplar() const { return useful_flops_; }

 private:
  friend void search_blocks(const TensorMark&, std::span<const at::Tensor>, std::span<BestPose>);

  FrameCells frame_;
  std::int64_t margin_ = 0;  // stored cells at the frame's edge that are never support
  at::Tensor flat_std_;      // [C]
  at::Device device_;
  ComputePrecision precision_;
  Similarity similarity_;
  std::vector<ViewGroup> groups_;
  double useful_flops_ = 0;
};

/// Blocks that are searched in one product on this device: hand over multiples of it. Fewer are filled up with zeros,
/// so that an exemplar's score does not depend on how many there are.
std::int64_t blocks_per_product(at::Device device);

/// What a search takes of the device's memory at most, beside the mark and blocks of `block_floats` each: those blocks
/// joined, the rows that a tile sees of them, and the products.
std::int64_t product_working_bytes(std::int64_t block_floats, at::Device device, ComputePrecision precision);

/// Searches every exemplar of `blocks` (each [C, W, H, kLanes] float32, on the mark's device or the CPU);
/// best[b * kLanes + l] is merged with the best pose of lane l of block b. Windows with a variance below 1e-3 of their
/// energy are summed anew about their mean, as by the kernel. An exemplar with a NaN or an infinity in its maps has the
/// score NaN.
void search_blocks(const TensorMark& mark, std::span<const at::Tensor> blocks, std::span<BestPose> best);

}  // namespace outsole::match
