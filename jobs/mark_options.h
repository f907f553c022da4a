#pragma once
// How marks are seen and laid on exemplars: options that every job that searches has alike.

#include <string>

#include "options.h"
#include "retrieval/mark_features.h"

namespace outsole::jobs {

/// Which ways up a mark may be.
struct MarkOrientation {
  bool upside_down = false, all_around = false;
};

/// --angles-deg, --upside-down, --all-around, --mirrored, --stride-px, --erosion, --overhang, --fit-frame,
/// --mark-filter, --mark-dpi and --mark-ruler. What they are bound to must outlive `options`. A job that can go without
/// poses says by which option it does: those of poses cannot go with that.
void declare_mark_options(retrieval::SearchProtocol& protocol, MarkOrientation& orientation, Options& options,
                          const std::string& without_poses = {});

/// Once options are read: the angles of that orientation. Throws UsageError.
void turn_by_orientation(const MarkOrientation& orientation, retrieval::SearchProtocol& protocol);

}  // namespace outsole::jobs
