#include "mark_options.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "image/image.h"

namespace outsole::jobs {

namespace {

retrieval::FitFrame parse_fit_frame(const std::string& word) {
  if (word == "auto") return retrieval::FitFrame::kAuto;
  if (word == "yes") return retrieval::FitFrame::kYes;
  if (word == "no") return retrieval::FitFrame::kNo;
  throw UsageError("not one of auto, yes, no");
}

retrieval::MarkFilter parse_mark_filter(const std::string& word) {
  if (word == "none") return retrieval::MarkFilter::kNone;
  if (word == "local-contrast") return retrieval::MarkFilter::kLocalContrast;
  throw UsageError("not one of none, local-contrast");
}

retrieval::MarkRuler parse_ruler(const std::string& text) {
  const std::string expected = "expected X0,Y0,X1,Y1,CM: two points in pixels, and the length between them";
  const auto numbers = parse_list<double>(text, 0, expected);
  if (numbers.size() != 5) throw UsageError(expected);
  const retrieval::MarkRuler ruler = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4]};
  if (!(ruler.length_cm > 0) || !(ruler.dpi() > 0))
    throw UsageError("the two points must lie apart, and the length be above 0");
  return ruler;
}

/// In (-180, 180].
double wrapped(double angle_deg) { return angle_deg - 360 * std::ceil((angle_deg - 180) / 360); }

}  // namespace

void declare_mark_options(retrieval::SearchProtocol& protocol, MarkOrientation& orientation, Options& options,
                          const std::string& without_poses) {
  const auto of_poses = [&](Option& option) -> Option& {
    return without_poses.empty() ? option : option.not_with(without_poses);
  };
  of_poses(options.add_parsed("angles-deg", "FIRST:LAST:STEP", protocol.angles_deg, parse_angles, "-20:20:4",
                              "rotations of the mark, counter-clockwise; or a list: 0,90,180"));
  of_poses(options.add_switch("upside-down", orientation.upside_down,
                              "which end of a mark is up is not known: all rotations also half a turn further"));
  of_poses(
      options.add_switch("all-around", orientation.all_around,
                         "nothing of a mark's orientation is known: rotations all around, by the step of --angles-deg"))
      .not_with("upside-down");
  of_poses(options.add_switch("mirrored", protocol.mirrored,
                              "marks also mirrored: of the other foot's shoe, or a print that was lifted"));
  of_poses(options.add("stride-px", "N", protocol.stride_px, "step of translations, at the search scale"))
      .at_least(1)
      .in("px");
  of_poses(options.add("erosion", "SHARE", protocol.erosion_fraction,
                       "supports are eroded by this share of the exemplar map's short side"))
      .at_least(0)
      .below(0.5);
  of_poses(options.add("overhang", "SHARE", protocol.overhang,
                       "search poses, too, at which up to this share of the mark's support lies outside the exemplars' "
                       "frame"))
      .at_least(0)
      .at_most(retrieval::kMostOverhang);
  of_poses(options.add_parsed("fit-frame", "auto|yes|no", protocol.fit_frame, parse_fit_frame, "auto",
                              "whether marks larger than the exemplars' frame are shrunk to fit it; auto: those whose "
                              "scale is not known"));
  of_poses(options.add_parsed("mark-filter", "none|local-contrast", protocol.mark_filter, parse_mark_filter, "none",
                              "local-contrast: each pixel of a mark against those around it, which takes out light "
                              "that falls off, stains and faintness"));
  options
      .add("mark-dpi", "N", protocol.mark_dpi,
           "resolution of all marks, whatever they say: they are brought to that of the exemplars (default: as each "
           "says; one that does not is taken to have the exemplars')")
      .at_least(image::kLeastDpi)
      .at_most(image::kMostDpi)
      .in("dpi");
  options
      .add_parsed("mark-ruler", "X0,Y0,X1,Y1,CM", protocol.mark_ruler, parse_ruler, "",
                  "measure the resolution of the one mark by a ruler that it shows: two points, in pixels from the "
                  "left and from the top, and the centimetres between them")
      .not_with("mark-dpi");
}

void turn_by_orientation(const MarkOrientation& orientation, retrieval::SearchProtocol& protocol) {
  std::vector<double>& angles_deg = protocol.angles_deg;
  if (orientation.upside_down) {
    const std::vector<double> upright = angles_deg;
    for (const double angle_deg : upright) {
      const double turned = wrapped(angle_deg + 180);
      if (std::ranges::find(angles_deg, turned) == angles_deg.end()) angles_deg.push_back(turned);
    }
  }
  if (!orientation.all_around) return;
  if (angles_deg.size() < 2 || !(angles_deg[1] > angles_deg[0])) {
    throw UsageError("`all_around`: goes by the step of `angles_deg`, which says none");
  }
  const double step_deg = angles_deg[1] - angles_deg[0];
  const auto turns = static_cast<int>(std::ceil(360 / step_deg - 1e-9));
  angles_deg.clear();
  for (int i = 0; i < turns; ++i) angles_deg.push_back(wrapped(i * step_deg));
  std::ranges::sort(angles_deg);
  protocol.all_around = true;
}

}  // namespace outsole::jobs
