// Counts the poses of a mark: a function of outsole::match and one of outsole::core.
#include <cstdio>

#include "core/sha256.h"
#include "match/pose_grid.h"

int main() {
  const outsole::match::PoseGrid grid{
      .angles_deg = {0}, .frame_height_px = 10, .frame_width_px = 10, .mark_height_px = 6, .mark_width_px = 8};
  std::printf("%lld %s\n", static_cast<long long>(grid.size()), outsole::sha256_of({}).c_str());
}
