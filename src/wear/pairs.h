#pragma once
// Which pairs of scans a model learns from and which it is judged on.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "wear/prepared.h"
#include "wear/time_encoding.h"

namespace outsole::wear {

/// What is kept from training. Time: of every shoe the last fifth of its weeks (reconstruction: the first fifth). Shoe,
/// pair: a fifth of the shoes or pairs, drawn by the seed.
enum class Split { kTime, kShoe, kPair };

std::string name_of(Split split);
/// "time", "shoe" or "pair"; throws UsageError naming them for another word.
Split parse_split(const std::string& text);

/// The paper's split: 80 % to train on. Of 26 weeks 5 are held out, of 52 scans 10.
inline constexpr double kHeldOutShare = 0.2;

/// How a pair is shown in one epoch: both scans mirrored alike, then moved alike.
struct Movement {
  std::int64_t down_px = 0, right_px = 0;
  bool is_mirrored = false;  // left to right
  bool operator==(const Movement&) const = default;
};

/// What movements an epoch draws from.
struct MovementRange {
  std::int64_t most_px = 0;  // up, down, left and right
  bool mirrors = false;      // every other time
};

/// {X, time, Y}: positions of two scans of one shoe in the prepared store.
struct TrainingPair {
  std::int64_t input = 0, target = 0;
  double weeks = 0;  // prediction: between them; reconstruction: the target's week
  /// Reconstruction: no training pair has this target's week, so its slot was never trained.
  bool unseen_target = false;
  Movement movement;
};

struct PairSets {
  std::vector<std::int64_t> training_scans, held_out_scans;  // ascending
  std::vector<TrainingPair> training;                        // both scans are training scans
  std::vector<TrainingPair> held_out;                        // split by time: at least one scan is held out; else both
  std::vector<std::int64_t> left_out_copies;  // ascending: of files of held-out scans under other names; in no pair
};

/// All admissible pairs: prediction has Y at X's week or later (X itself included), by at most kLongestWeeks;
/// reconstruction has Y at X's week or earlier. Scans with a flag are left out, and those of the very files
/// (source_sha256) that are held out, which would stand on both sides. Order: by shoe, X's week, Y's week, id.
/// A pure function of its arguments. Throws DataError when nothing is left to train on or to hold out, saying why.
PairSets make_pairs(std::span<const wear::PreparedInfo> scans, Task task, Split split, std::uint64_t seed,
                    double held_out_share = kHeldOutShare);

/// How each of an epoch's pairs, in its order, is shown; as learn::epoch_order it depends on nothing else.
std::vector<Movement> epoch_movements(std::int64_t pairs, const MovementRange& range, std::uint64_t seed,
                                      std::int64_t epoch);

}  // namespace outsole::wear
