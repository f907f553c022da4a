#pragma once
// A mark as the search sees it: at the search scale, turned by every angle, its features from every sub-cell offset.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <limits>
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

/// Whether marks that are larger than the exemplars' frame are shrunk until they fit it.
enum class FitFrame {
  kAuto,  // those whose scale is not known
  kYes,
  kNo,
};

/// What is done to a mark at the search scale, before its features are computed.
enum class MarkFilter {
  kNone,
  kLocalContrast,  // image::local_contrast under a Gaussian of kLocalContrastPx
};

inline constexpr double kLocalContrastPx = 12;

/// Two points (x, y) of a ruler in the picture, in pixels from the first one's centre, and the length between them.
struct MarkRuler {
  double x0_px = 0, y0_px = 0, x1_px = 0, y1_px = 0;
  double length_cm = 0;

  /// Pixels an inch.
  double dpi() const;
};

/// The numbers of the search protocol. Defaults are the published ones for crime-scene marks.
struct SearchProtocol {
  /// One pose only, for marks that are aligned with the exemplars: a mark lies on the frame as an exemplar of its size
  /// would, and all of it is support, without erosion. Angles, stride and erosion then have no effect.
  bool as_they_lie = false;
  std::vector<double> angles_deg = {-20, -16, -12, -8, -4, 0, 4, 8, 12, 16, 20};  // counter-clockwise
  std::int64_t stride_px = 2;     // of translations, at the search scale
  double erosion_fraction = 0.1;  // of the exemplar map's short side
  match::Similarity similarity;
  std::optional<double> mark_dpi;       // of every mark, whatever its file says; none: as the files say
  std::optional<MarkRuler> mark_ruler;  // measures it, in the one mark there is
  FitFrame fit_frame = FitFrame::kAuto;
  MarkFilter mark_filter = MarkFilter::kNone;  // not as they lie
  /// Poses are searched, too, at which up to this share of the support, 0 to kMostOverhang, lies outside the frame.
  double overhang = 0;
  /// Marks may lie any way: also translations that are possible only once a mark is turned.
  bool all_around = false;
  bool mirrored = false;  // marks are searched mirrored, too
};

inline constexpr double kMostOverhang = 0.5;

/// The largest length of a mark that is searched, as a multiple of the frame's.
double most_of_frame(const IndexParameters& index, const SearchProtocol& protocol);

/// The support of a mark as its file has it.
struct MarkSupport {
  std::int64_t top_px = 0, left_px = 0, height_px = 0, width_px = 0;  // its bounding box
  double share = 1;                                                   // of the picture's pixels
  std::string mask_sha256;  // of the mask's file; of the mark's, where that says what is transparent; empty: no mask
  std::vector<std::uint8_t> mask_png;  // the mask: white counts; empty: no mask
};

/// A mark at the search scale, cropped to the bounding box of its support: what is masked out takes no part in where
/// the mark may lie.
struct ScaledMark {
  std::string id;
  std::string sha256;                        // of its file
  std::int64_t height_px = 0, width_px = 0;  // of its file
  double dpi = 0;                            // pixels an inch that it was taken to have; 0: not known
  double scale = 1;  // mark to exemplar resolution, and smaller than that when it had to shrink to fit the frame
  MarkSupport in_file;
  double offset_y_px = 0, offset_x_px = 0;  // from the crop's centre to that of the file's picture, by `scale`
  at::Tensor image;                         // [h, w] float32, whole grey levels
  at::Tensor support;                       // [h, w] bool
  match::PoseGrid grid;
  std::int64_t first_mirrored =
      std::numeric_limits<std::int64_t>::max();  // of the grid's angles: at that and those behind it the mark is
                                                 // mirrored, then turned
  double centre_y_px = 0, centre_x_px = 0;       // of the mark on the grid's canvas
};

/// How far supports are eroded, in cells of `index`'s maps. As they lie: by the border that the index lacks, which is a
/// matter of the frame and not of the mark.
std::int64_t erosion_radius(const IndexParameters& index, const SearchProtocol& protocol);

/// What brings a mark to the exemplars' resolution, both in pixels an inch, 0 where one is not known: 1 then, and where
/// they differ by no more than files round.
double factor_to_exemplars(double mark_dpi, double exemplar_dpi);

/// Reads a mark with its support mask, crops it, brings it to the exemplars' resolution and to the search scale, and
/// shrinks it until it fits the frame if that is wanted; as they lie: brings all of it to the frame as an exemplar
/// (larger ones lose their last rows and outer columns). Throws DataError naming the file, also when it shows nothing
/// but one grey within its support, and when it is larger than is searched.
ScaledMark read_scaled_mark(const std::filesystem::path& path, const IndexParameters& index,
                            const SearchProtocol& protocol);

/// Whether the mark is mirrored at an angle of its grid.
bool is_mirrored_at(const ScaledMark& mark, std::int64_t angle);

/// From the centre of the mark that is searched to that of the mark as received, once it is mirrored and turned as at
/// an angle of its grid: rows, columns, in pixels of the exemplars.
struct CentreOffset {
  double y_px = 0, x_px = 0;
};
CentreOffset centre_offset(const ScaledMark& mark, std::int64_t angle);

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

/// Leaves those shifts of the views poses at which, turned, no more of the support than the protocol allows lies
/// outside the frame, and those that would be poses without overhang. Not collective.
void choose_poses(std::span<match::MarkView> views, const match::PoseGrid& grid, const IndexParameters& index,
                  const SearchProtocol& protocol);

/// The views of all ranks, in rank order, given to all; without what choose_poses chose. Collective.
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
