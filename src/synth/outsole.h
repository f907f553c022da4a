#pragma once
// A procedural outsole: its outline and its tread, in units of the outsole's length. (0, 0) is the middle of the toe's
// tip, y runs down to the heel at 1, x to the right.

#include <cstdint>
#include <string>
#include <vector>

#include "synth/shape.h"

namespace outsole::synth {

/// What the blocks of a zone look like.
enum class TreadFamily { kBars, kHexagons, kZigzags, kStuds, kWaves, kLetters };

std::string name_of(TreadFamily family);

/// An upright ellipse.
struct Ellipse {
  Point centre;
  double radius_y = 0, radius_x = 0;
};

/// One block feature: a raised part of the tread. It ends `inset` inside the outline, at its zone's ends, and, if it
/// `yields`, at the outsole's emblems.
struct Block {
  Shape shape;
  double inset = 0;
  double zone_top = 0, zone_bottom = 1;
  bool yields = true;
  double sipe_pitch = 0;  // distance of the fine cuts across the block; 0: none
  double sipe_angle_deg = 0;
};

struct Outsole {
  bool left_foot = false;
  std::vector<TreadFamily> families;  // of forefoot, arch, heel
  std::vector<Point> outline;         // closed polygon
  std::vector<Ellipse> emblems;       // places the tread leaves free for a pivot point or a logo
  std::vector<Block> blocks;
  std::uint64_t texture_seed = 0;  // of the ink
};

/// Outsole number `index` of the set `seed`: a function of these two alone.
Outsole make_outsole(std::uint64_t seed, std::uint64_t index);

/// The other outsole of a pair: the left one of a right one, the right one of a left one.
Outsole mirror_image(Outsole outsole);

inline constexpr double kHalfSipe = 0.0016;  // half the width of a fine cut

/// Distance into the nearest fine cut of a block that has them: kHalfSipe at its middle, 0 at its edges, negative in
/// the material beside it.
double distance_to_sipes(const Block& block, Point at);

/// signed_distance without the fine cuts, and as if the outsole had no outline: at least as near as the block's edge,
/// and changing by no more than the way gone, so that one may leap over what is far.
double signed_distance_unclipped(const Outsole& outsole, const Block& block, Point at);

/// Distance from the edge of the block as the outsole cuts it, negative inside. Exact up to `far`; whatever lies
/// farther outside may be given as any distance above it, which saves most of the work.
double signed_distance(const Outsole& outsole, const Block& block, Point at, double far);

}  // namespace outsole::synth
