#pragma once
// A mark as the search sees it: at the search scale, turned by every angle, its features from every sub-cell offset.

#include <ATen/ATen.h>

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "match/mark_view.h"
#include "match/mcncc.h"
#include "match/pose_grid.h"
#include "match/similarity.h"
#include "retrieval/index_parameters.h"

namespace outsole::retrieval {

/// The numbers of the search protocol. Defaults are the published ones for crime-scene marks.
struct SearchProtocol {
  /// One pose only, for marks that are aligned with the exemplars: a mark lies on the frame as an exemplar of its size
  /// would, and all of it is support, without erosion. Angles, stride and erosion then have no effect.
  bool as_they_lie = false;
  std::vector<double> angles_deg = {-20, -16, -12, -8, -4, 0, 4, 8, 12, 16, 20};  // counter-clockwise
  std::int64_t stride_px = 2;     // of translations, at the search scale
  double erosion_fraction = 0.1;  // of the exemplar map's short side
  match::Similarity similarity;
  std::optional<double> mark_dpi;  // of every mark, whatever its file says; none: as the files say
};

/// A mark at the search scale.
struct ScaledMark {
  std::string id;
  std::string sha256;                        // of its file
  std::int64_t height_px = 0, width_px = 0;  // of its file
  double dpi = 0;                            // pixels an inch that it was taken to have; 0: not known
  double scale = 1;    // mark to exemplar resolution, and smaller than that when it had to shrink to fit the frame
  at::Tensor image;    // [h, w] float32, whole grey levels
  at::Tensor support;  // [h, w] bool
  match::PoseGrid grid;
  double centre_y_px = 0, centre_x_px = 0;  // of the mark on the grid's canvas
};

/// How far supports are eroded, in cells of `index`'s maps. As they lie: by the border that the index lacks, which is a
/// matter of the frame and not of the mark.
std::int64_t erosion_radius(const IndexParameters& index, const SearchProtocol& protocol);

/// What brings a mark to the exemplars' resolution, both in pixels an inch, 0 where one is not known: 1 then, and where
/// they differ by no more than files round.
double factor_to_exemplars(double mark_dpi, double exemplar_dpi);

/// Reads a mark with its support mask, brings it to the exemplars' resolution and to the search scale, and shrinks it
/// until it fits the frame; as they lie: brings it to the frame as an exemplar (larger ones lose their last rows and
/// outer columns). Throws DataError naming the file, also when it shows nothing but one grey within its support.
ScaledMark read_scaled_mark(const std::filesystem::path& path, const IndexParameters& index,
                            const SearchProtocol& protocol);

/// A view to be computed: one angle, one offset.
struct ViewTask {
  std::int64_t angle = 0;
  match::ViewOffset offset;
};

/// Every view of the mark, by angle, then offset.
std::vector<ViewTask> view_tasks(const ScaledMark& mark, std::int64_t cell_px);

/// The views `tasks` of the mark: canvas of true white, turned, features and eroded support. Not collective.
std::vector<match::MarkView> make_views(const ScaledMark& mark, std::span<const ViewTask> tasks,
                                        const features::Extractor& extractor, const IndexParameters& index,
                                        const SearchProtocol& protocol, at::Device device);

/// The views of all ranks, in rank order, given to all. Collective.
std::vector<match::MarkView> share_views(const comm::Communicator& comm, std::vector<match::MarkView> own);

/// Whether anything in the views can be compared: a channel that varies over the support of a view, by more than what
/// counts as flat. Not collective.
bool has_contrast(std::span<const match::MarkView> views, const match::ChannelModel& channels);

/// A grid with about an eighth of the poses, for a first pass: every second angle (but none far from its neighbours),
/// translations by whole cells, or, where they already are, by twice as many.
match::PoseGrid coarse_grid(match::PoseGrid grid, std::int64_t cell_px);

/// The views of a mark on `grid` that serve its coarse grid; angles keep their numbers.
std::vector<match::MarkView> coarse_views(std::span<const match::MarkView> views, const match::PoseGrid& grid,
                                          std::int64_t cell_px);

/// 2 x support cells x channels over all poses, for one exemplar: what a plan needs, without computing features.
double useful_flops_per_exemplar(const ScaledMark& mark, const features::Extractor& extractor,
                                 const IndexParameters& index, const SearchProtocol& protocol);

}  // namespace outsole::retrieval
