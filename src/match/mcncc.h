#pragma once
// Exhaustive search on one mark and some blocks of exemplars, by default with multi-channel normalized
// cross-correlation (similarity.h has the others):
//
//   score(pose) = sum_c w_c * NCC_c,   NCC_c = sum_P (x - mean_x)(y - mean_y) / sqrt(sum_P (x - mean_x)^2 sum_P (y -
//   mean_y)^2)
//
// (Kong et al., "Cross-domain image matching with deep feature maps", IJCV 2019, eq. 2.) P are the cells where the
// mark's eroded support lies on the frame; w_c = 1/C unless learned. A channel that is flat over P on either side adds
// 0; a pose with empty support has score -infinity.

#include <ATen/ATen.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "match/mark_view.h"
#include "match/pose_grid.h"
#include "match/similarity.h"

namespace outsole::match {

struct ChannelKernel;

/// The best pose found for one exemplar. A score of NaN says that its maps are not finite: no pose can be told.
struct BestPose {
  float score = -std::numeric_limits<float>::infinity();
  Pose pose;

  /// Replaces this by `other` if that is better: NaN, a higher score, or the same at an earlier pose. Merging is
  /// order-free.
  void merge(const BestPose& other);
};

/// What the score needs to know of the exemplars' channels.
struct ChannelModel {
  at::Tensor weight;    // [C] float32: w_c
  at::Tensor flat_std;  // [C] float32: a channel whose standard deviation over P is not above this is flat
  at::Tensor white;     // [C] float32, or undefined: what was subtracted from the exemplars' features
  /// [C] float64, or undefined: mean and standard deviation over the data set of what is stored, as mu_bar_c and
  /// sigma_bar_c want them.
  at::Tensor mean, deviation;
};

/// What has to be subtracted from the exemplars' stored maps before they are searched, [C] float32: the channels' means
/// with mu_bar_c; minus the response to white paper, which brings it back, with none and mu, which compare what the
/// extractor gives; undefined where that is nothing.
at::Tensor subtracted_from_maps(const Similarity& similarity, const ChannelModel& channels);

/// The similarity of windows that window_terms makes of one.
Similarity window_similarity(Similarity similarity);

/// The same comparison by statistics of windows alone: blocks are less subtracted_from_maps, marks are less
/// `white`: as much as blocks are then less than what the extractor gave; and a scale that holds for the whole data set
/// is a part of the channel's weight. Throws Bug when `channels` lack statistics that are needed, and UsageError for a
/// distance with channel weights.
struct WindowTerms {
  ChannelModel channels;
  Similarity similarity;  // none | mu | mu_c, none | sigma | sigma_c
};
WindowTerms window_terms(const Similarity& similarity, const ChannelModel& channels);

/// w_c = 1/C, and flat below 1e-5 of the channel's root mean square over the exemplars, `square_mean` [C] float64.
ChannelModel plain_channel_model(const at::Tensor& square_mean);

/// The size of the stored maps and the border of cells left out of them.
struct FrameCells {
  std::int64_t height = 0, width = 0;
  std::int64_t border = 0;
  std::int64_t cell_px = 1;  // the extractor's stride
};

/// A mark, laid out for the kernel: per angle groups of up to four views interleaved cell by cell; supports as runs
/// along columns; mean and scale of x for every way the frame cuts the support.
class PreparedMark {
 public:
  /// `views` by angle. `erosion_radius` >= frame.border: cells nearer to the frame's edge than this are no support.
  /// `similarity` is one of window_terms.
  PreparedMark(std::vector<MarkView> views, const FrameCells& frame, std::int64_t erosion_radius, ChannelModel channels,
               Similarity similarity = {});
  ~PreparedMark();
  PreparedMark(PreparedMark&&) noexcept;
  PreparedMark& operator=(PreparedMark&&) noexcept;

  /// 2 x support cells x channels, over all poses: the multiply-adds one exemplar costs by the definition.
  double useful_flops_per_exemplar() const;

  struct Layout;
  const Layout& layout() const { return *layout_; }

 private:
  std::unique_ptr<Layout> layout_;
};

/// Searches every exemplar of `blocks` (each [C, W, H, kLanes] float32, CPU, see pack_block). best[b * kLanes + l] is
/// merged with the best pose of lane l of block b. Runs on all OpenMP threads; results do not depend on their number,
/// nor on which blocks are searched together. Near-dead windows (variance below 1e-3 of the energy the prefix sums
/// passed through) are summed anew from the cells, so the 32-bit sums keep the score within 1e-5. An exemplar with a
/// NaN or an infinity anywhere in its maps has the score NaN.
void search_blocks(const PreparedMark& mark, const ChannelKernel& kernel, std::span<const at::Tensor> blocks,
                   std::span<BestPose> best);

/// What a thread of search_blocks works in beside the blocks, at most, for maps of this size and translations of
/// stride_px.
std::int64_t search_working_bytes(const ChannelKernel& kernel, const FrameCells& frame, std::int64_t stride_px,
                                  Similarity similarity = {});

/// The fastest kernel for CPUs that runs on this machine: "avx512", "avx2", "generic".
std::string kernel_instructions();

}  // namespace outsole::match
