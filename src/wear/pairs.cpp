#include "wear/pairs.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "core/errors.h"
#include "core/random.h"

namespace outsole::wear {

namespace {

using Scans = std::span<const wear::PreparedInfo>;

const wear::PreparedInfo& at(Scans scans, std::int64_t index) { return scans[static_cast<std::size_t>(index)]; }

/// How many of `count` weeks, shoes or pairs are held out: at least one, and at least one is left to train on.
std::int64_t held_out_count(std::int64_t count, double share) {
  if (count < 2) return 0;
  return std::clamp<std::int64_t>(std::llround(static_cast<double>(count) * share), 1, count - 1);
}

std::vector<std::int64_t> registered_scans(Scans scans) {
  std::vector<std::int64_t> indices;
  for (std::int64_t i = 0; i < std::ssize(scans); ++i) {
    if (at(scans, i).flag.empty()) indices.push_back(i);
  }
  return indices;
}

using ScansByShoe = std::map<std::string, std::vector<std::int64_t>>;

/// Of every shoe the last weeks (prediction) or the first ones (reconstruction).
std::set<std::int64_t> held_out_weeks(Scans scans, const ScansByShoe& shoes, Task task, double share) {
  std::set<std::int64_t> held_out;
  for (const auto& [shoe, indices] : shoes) {
    std::set<double> distinct;
    for (const std::int64_t index : indices) distinct.insert(at(scans, index).subject.week);
    const std::vector<double> weeks(distinct.begin(), distinct.end());
    const std::int64_t count = held_out_count(std::ssize(weeks), share);
    const bool from_the_end = task == Task::kPrediction;
    const auto first = from_the_end ? weeks.end() - count : weeks.begin();
    const std::set<double> kept_apart(first, first + count);
    for (const std::int64_t index : indices) {
      if (kept_apart.contains(at(scans, index).subject.week)) held_out.insert(index);
    }
  }
  return held_out;
}

/// All scans of the shoes or pairs that the seed draws.
std::set<std::int64_t> held_out_groups(Scans scans, const std::vector<std::int64_t>& indices, Split split,
                                       std::uint64_t seed, double share) {
  const auto group = [&](std::int64_t index) -> const std::string& {
    const ingest::ScanSubject& subject = at(scans, index).subject;
    return split == Split::kShoe ? subject.shoe : subject.pair;
  };
  std::set<std::string> distinct;
  for (const std::int64_t index : indices) distinct.insert(group(index));
  std::vector<std::string> names(distinct.begin(), distinct.end());
  constexpr std::uint64_t kStream = std::numeric_limits<std::uint64_t>::max();  // learn::epoch_order has the others
  std::mt19937_64 generator = seeded(seed, kStream);
  shuffle(names, generator);
  const std::set<std::string> drawn(names.begin(), names.begin() + held_out_count(std::ssize(names), share));
  std::set<std::int64_t> held_out;
  for (const std::int64_t index : indices) {
    if (drawn.contains(group(index))) held_out.insert(index);
  }
  return held_out;
}

/// Scans that are not held out, though scans of the same files are.
std::set<std::int64_t> copies_of_held_out(Scans scans, const std::vector<std::int64_t>& indices,
                                          const std::set<std::int64_t>& held_out) {
  std::set<std::string> files;
  for (const std::int64_t index : held_out) files.insert(at(scans, index).source_sha256);
  files.erase("");  // unknown
  std::set<std::int64_t> copies;
  for (const std::int64_t index : indices) {
    if (!held_out.contains(index) && files.contains(at(scans, index).source_sha256)) copies.insert(index);
  }
  return copies;
}

/// Whether the task can be asked to get from one scan to the other.
bool is_admissible(Task task, double input_week, double target_week) {
  if (task == Task::kReconstruction) return target_week <= input_week && target_week <= kLastReconstructedWeek;
  return target_week >= input_week && target_week - input_week <= kLongestWeeks;
}

std::vector<TrainingPair> pairs_of_shoe(Scans scans, const std::vector<std::int64_t>& indices, Task task) {
  std::vector<TrainingPair> pairs;
  for (const std::int64_t input : indices) {
    for (const std::int64_t target : indices) {
      const double from = at(scans, input).subject.week, to = at(scans, target).subject.week;
      if (is_admissible(task, from, to))
        pairs.push_back({input, target, task == Task::kPrediction ? to - from : to, false, {}});
    }
  }
  const auto key = [&](const TrainingPair& pair) {
    const wear::PreparedInfo &input = at(scans, pair.input), &target = at(scans, pair.target);
    return std::tie(input.subject.week, target.subject.week, input.id, target.id);
  };
  std::ranges::sort(pairs, [&](const TrainingPair& a, const TrainingPair& b) { return key(a) < key(b); });
  return pairs;
}

/// Pairs grow with the square of a shoe's scans, whose number is the file's word.
void require_bearable(const ScansByShoe& shoes) {
  constexpr double kMostPairs = 1e8;
  double pairs = 0;
  for (const auto& [shoe, indices] : shoes) pairs += std::pow(static_cast<double>(indices.size()), 2);
  if (pairs > kMostPairs) throw DataError("too many scans of the same shoes: more than 100 million pairs");
}

/// Of scans that were all made at one time nothing can be learned of wear.
void require_visits(Scans scans, const ScansByShoe& shoes) {
  const bool has_visits = std::ranges::any_of(shoes, [&](const auto& shoe) {
    return std::ranges::any_of(shoe.second, [&](std::int64_t index) {
      return at(scans, index).subject.week != at(scans, shoe.second.front()).subject.week;
    });
  });
  if (has_visits || shoes.empty()) return;
  throw DataError(
      "every shoe was scanned in one week only, so there is no wear to learn from; where there were several "
      "visits the manifest needs a column of weeks or of dates when it is ingested");
}

void mark_unseen_targets(PairSets& sets) {
  std::set<std::int64_t> trained;
  for (const TrainingPair& pair : sets.training) trained.insert(slot_of_week(pair.weeks));
  for (TrainingPair& pair : sets.held_out) pair.unseen_target = !trained.contains(slot_of_week(pair.weeks));
}

void require_pairs(const PairSets& sets, Split split, std::int64_t scans, std::int64_t registered) {
  const std::string counts = std::to_string(registered) + " of " + std::to_string(scans) + " scans are registered";
  if (sets.training.empty()) throw DataError("no pair of scans to train on: " + counts);
  if (!sets.held_out.empty()) return;
  const std::string wanted = split == Split::kTime ? "a shoe scanned in two weeks" : "two of them";
  throw DataError("nothing to hold out of training: " + counts + ", and a split by " + name_of(split) +
                  " needs at least " + wanted);
}

}  // namespace

std::string name_of(Split split) {
  switch (split) {
    case Split::kTime:
      return "time";
    case Split::kShoe:
      return "shoe";
    case Split::kPair:
      return "pair";
  }
  throw Bug("no such split");
}

Split parse_split(const std::string& text) {
  for (const Split split : {Split::kTime, Split::kShoe, Split::kPair}) {
    if (text == name_of(split)) return split;
  }
  throw UsageError("no split '" + text + "': time (hold out weeks), shoe or pair (hold out whole shoes or pairs)");
}

PairSets make_pairs(Scans scans, Task task, Split split, std::uint64_t seed, double held_out_share) {
  ensure(held_out_share > 0 && held_out_share < 1, "a share to hold out");
  const std::vector<std::int64_t> registered = registered_scans(scans);
  ScansByShoe shoes;
  for (const std::int64_t index : registered) shoes[at(scans, index).subject.shoe].push_back(index);
  require_bearable(shoes);
  require_visits(scans, shoes);
  const std::set<std::int64_t> held_out = split == Split::kTime
                                              ? held_out_weeks(scans, shoes, task, held_out_share)
                                              : held_out_groups(scans, registered, split, seed, held_out_share);
  const std::set<std::int64_t> copies = copies_of_held_out(scans, registered, held_out);
  PairSets sets;
  sets.left_out_copies.assign(copies.begin(), copies.end());
  for (const std::int64_t index : registered) {
    if (copies.contains(index)) continue;
    (held_out.contains(index) ? sets.held_out_scans : sets.training_scans).push_back(index);
  }
  for (const auto& [shoe, indices] : shoes) {
    for (const TrainingPair& pair : pairs_of_shoe(scans, indices, task)) {
      if (copies.contains(pair.input) || copies.contains(pair.target)) continue;
      const bool is_held_out = held_out.contains(pair.input) || held_out.contains(pair.target);
      (is_held_out ? sets.held_out : sets.training).push_back(pair);
    }
  }
  require_pairs(sets, split, std::ssize(scans), std::ssize(registered));
  if (task == Task::kReconstruction) mark_unseen_targets(sets);
  return sets;
}

std::vector<Movement> epoch_movements(std::int64_t pairs, const MovementRange& range, std::uint64_t seed,
                                      std::int64_t epoch) {
  std::vector<Movement> movements(static_cast<std::size_t>(pairs));
  constexpr std::uint64_t kStreams = std::uint64_t{1} << 63;  // learn::epoch_order has those below
  std::mt19937_64 generator = seeded(seed, kStreams + static_cast<std::uint64_t>(epoch));
  const auto way = [&] {
    return static_cast<std::int64_t>(draw(generator, static_cast<std::uint64_t>(2 * range.most_px + 1))) -
           range.most_px;
  };
  for (Movement& movement : movements) {
    movement.down_px = way();
    movement.right_px = way();
    movement.is_mirrored = range.mirrors && draw(generator, 2) == 1;
  }
  return movements;
}

}  // namespace outsole::wear
