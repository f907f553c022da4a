#pragma once
// Block features of each tread family, about the origin, and how a zone of the outsole is filled with them.

#include <vector>

#include "synth/outsole.h"
#include "synth/random.h"

namespace outsole::synth {

/// A stretch of the outsole with one tread.
struct Zone {
  double top = 0, bottom = 1;
  double half_width = 0.2;  // of the widest part
  double inset = 0;         // of its blocks from the outline
};

/// The blocks of a zone: a family's features on a lattice, with random pitch, proportions, turn and cuts. Blocks that
/// lie wholly outside the outline are left out.
std::vector<Block> fill_zone(const Zone& zone, TreadFamily family, const std::vector<Point>& outline, Random& random);

/// A word of random capital letters of this height, centred on the origin, as strokes.
Shape random_word(int letters, double height, Random& random);

}  // namespace outsole::synth
