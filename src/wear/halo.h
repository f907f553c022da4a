#pragma once
// The ranks that hold one image together, and the layers that need rows of their neighbours.
//
// A layer of kernel 4, stride 2, padding 1 sees one row beyond a slab on either side. It is linear: so it is computed
// on the slab as if there were nothing beyond it, while the neighbours' border rows are on their way, and what these
// add to the first and the last row comes afterwards. Thin slabs cost nothing for it, and no map is copied. Backwards
// likewise: first goes what the neighbours' rows are owed, then the slab's own gradients are computed, then comes what
// its border rows are owed.
//
// Every rank of a team calls these functions in the same order, forwards and backwards: as LibTorch's backward pass
// visits the same graph in the same order, it is so where all build the same graph. An error that one of them alone has
// leaves the others waiting: it must end the job.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>

#include "comm/communicator.h"
#include "wear/slab.h"

namespace outsole::wear {

/// Of every layer: an encoder's halves the size exactly, a decoder's doubles it.
inline constexpr std::int64_t kKernel = 4, kStride = 2, kPadding = 1;

/// What a rank's exchanges have cost so far.
struct HaloCosts {
  std::int64_t exchanges = 0, sent_bytes = 0;
  double seconds = 0;  // of packing, starting and waiting; also for a neighbour that is late
};

/// An image's ranks: of size 1 where it is whole. Must outlive the backward pass of what was computed with it.
class ImageTeam {
 public:
  /// The whole image on this rank.
  explicit ImageTeam(std::int64_t height_px);
  /// This rank has the slab of its rank in `ranks`. Throws UsageError as slab_of. Not collective.
  ImageTeam(std::int64_t height_px, const comm::Communicator& ranks);

  bool is_split() const { return ranks_.has_value() && ranks_->size() > 1; }
  std::int64_t height_px() const { return height_px_; }
  const Slab& slab() const { return slab_; }
  bool has_above() const { return is_split() && !ranks_->is_root(); }
  bool has_below() const { return is_split() && ranks_->rank() + 1 < ranks_->size(); }
  const comm::Communicator& ranks() const { return *ranks_; }  // where it is split

  const HaloCosts& costs() const { return costs_; }

  /// Rows are waited for at once instead of after the slab's own work: for measurements. The results are the same bits.
  void wait_at_once() { waits_at_once_ = true; }
  bool waits_at_once() const { return waits_at_once_; }
  /// Called with the rows that come from a neighbour, before they are used: for tests, which change them.
  void on_arrival(std::function<void(at::Tensor&)> function) { on_arrival_ = std::move(function); }

 private:
  friend class RowExchange;
  std::int64_t height_px_;
  std::optional<comm::Communicator> ranks_;
  Slab slab_;
  HaloCosts costs_;
  bool waits_at_once_ = false;
  std::function<void(at::Tensor&)> on_arrival_;
};

// Of the layers: `team` is nullptr where the image is whole, as it may be where a team has one rank. They are
// collective within the team, as are their gradients, which cannot be differentiated again.

/// conv2d(x, weight, bias, stride 2, padding 1) for a kernel of 4: x [N, Cin, H, W], H the slab's, weight
/// [Cout, Cin, 4, 4], bias [Cout] -> [N, Cout, H / 2, W / 2]. Its backward pass lets go of x before it makes x's
/// gradient.
at::Tensor halve_size(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, ImageTeam* team);

/// conv_transpose2d(x, weight, bias, stride 2, padding 1) for a kernel of 4: x [N, Cin, H, W], weight [Cin, Cout, 4,
/// 4], bias [Cout] -> [N, Cout, 2 H, 2 W]. On CPUs it runs as what it is, the adjoint of a strided convolution, through
/// oneDNN's kernels for gradients: LibTorch's own goes through a matrix of columns, slower and with four times an
/// image's output in memory; that is left for a single map, whose columns are small.
at::Tensor double_size(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, ImageTeam* team);

/// The rows of a slab [N, C, slab().rows, W] and up to `reach` (at most kSizeStep) rows above and below it, where the
/// image has them. The slab itself where the image is whole.
at::Tensor with_neighbouring_rows(const at::Tensor& rows, std::int64_t reach, ImageTeam* team);

}  // namespace outsole::wear
