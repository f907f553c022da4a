#include "retrieval/team_search.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <string>
#include <utility>

#include "core/checked.h"
#include "core/clock.h"
#include "core/errors.h"
#include "core/stop.h"
#include "match/lanes.h"

namespace outsole::retrieval {

namespace {

using match::kLanes;

/// Whether a mark is one of the `--coarse-recall` that are spread evenly over all marks.
bool measures_recall(std::int64_t mark, std::int64_t marks, std::int64_t wanted) {
  wanted = std::min(wanted, marks);
  return (mark + 1) * wanted / marks > mark * wanted / marks;
}

}  // namespace

TeamSearch::TeamSearch(const comm::Communicator& team, const SearchOptions& options, const SearchSetup& setup,
                       std::vector<std::int64_t> marks)
    : team_(team),
      options_(options),
      setup_(setup),
      own_(comm::units_of(setup.blocks, team.rank(), team.size())),
      blocks_(setup.index, own_.begin, own_.end, setup.block_memory_bytes, setup.block_access(), setup.subtracted),
      marks_at_a_time_(
          -team.max(-(blocks_.makes_blocks_anew() ? most_marks_a_pass(setup, options, blocks_.kept_bytes()) : 1))),
      marks_(std::move(marks)),
      ahead_(look_at(0)) {}

std::vector<MarkResult> TeamSearch::search_next(std::int64_t count) {
  std::vector<MarkResult> results;
  while (count > 0) {
    const double start = now_s();
    const std::int64_t together = marks_with_metric_of_next(std::min(marks_at_a_time_, count));
    blocks_.project_by(metric_of(next_).exemplar_projection);
    std::vector<ReadyMark> ready;
    for (std::int64_t i = 0; i < together; ++i) {
      if (auto mark = next_ready()) ready.push_back(std::move(*mark));
    }
    count -= together;
    summary_.seconds_features += now_s() - start;
    std::vector<MarkResult> found = search_batch(ready);
    if (team_.is_root()) std::ranges::move(found, std::back_inserter(results));
    summary_.seconds_search += now_s() - start;
  }
  return results;
}

/// How many of the next marks, up to `most`, are judged by the same metric, so that one pass over the exemplars can
/// serve them.
std::int64_t TeamSearch::marks_with_metric_of_next(std::int64_t most) const {
  std::int64_t count = 1;
  while (count < most && &metric_of(next_ + static_cast<std::size_t>(count)) == &metric_of(next_)) ++count;
  return count;
}

// --- A mark until it is ready ---------------------------------------------------------------------------------------

/// Where a GPU searches, a mark is read, turned and sent through the extractor while the one before it is searched. On
/// a CPU it is not, but when it is asked for: the search keeps every core busy, so the work would only be done at
/// another time.
std::future<TeamSearch::SeenMark> TeamSearch::look_at(std::size_t turn) const {
  if (turn >= marks_.size()) return {};
  const auto policy = setup_.path.device.is_cuda() ? std::launch::async : std::launch::deferred;
  return std::async(policy, &TeamSearch::see, this, turn);
}

TeamSearch::SeenMark TeamSearch::see(std::size_t turn) const {
  const std::filesystem::path& file = setup_.marks[static_cast<std::size_t>(marks_[turn])];
  SeenMark seen = {read_scaled_mark(file, parameters(), options_.protocol), {}};
  const std::vector<ViewTask> tasks = view_tasks(seen.mark, parameters().geometry.stride_px);
  const comm::UnitRange mine = comm::units_of(std::ssize(tasks), team_.rank(), team_.size());
  seen.views = make_views(
      seen.mark, std::span(tasks).subspan(static_cast<std::size_t>(mine.begin), static_cast<std::size_t>(mine.size())),
      *setup_.index.extractor, parameters(), options_.protocol, options_.device);
  seen.views = projected_views(std::move(seen.views), metric_of(turn));
  return seen;
}

/// The next mark; nothing when it is bad.
std::optional<TeamSearch::ReadyMark> TeamSearch::next_ready() {
  const std::int64_t position = marks_.at(next_++);
  const std::filesystem::path& file = setup_.marks[static_cast<std::size_t>(position)];
  std::future<SeenMark> looking = std::exchange(ahead_, look_at(next_));
  SeenMark seen;
  if (!unless_bad(file, [&] { seen = looking.get(); })) return std::nullopt;
  std::vector<match::MarkView> views = share_views(team_, std::move(seen.views));
  seen.mark.image = seen.mark.support = at::Tensor();  // no longer needed
  std::vector<match::MarkView> for_first_pass;
  if (options_.coarse > 0) for_first_pass = views;
  std::optional<MarkMatcher> matcher;
  if (!unless_bad(file, [&] { matcher = prepare(std::move(views), seen.mark, position); })) return std::nullopt;
  return ReadyMark{position, std::move(seen.mark), std::move(for_first_pass), std::move(*matcher)};
}

/// Throws DataError when nothing is left of the support at any pose, or nothing in it can be compared.
MarkMatcher TeamSearch::prepare(std::vector<match::MarkView> views, const ScaledMark& mark,
                                std::int64_t position) const {
  const std::filesystem::path& file = setup_.marks[static_cast<std::size_t>(position)];
  const match::ChannelModel& channels = setup_.metrics.of(position).channels;
  const bool is_blank = !has_contrast(views, channels);
  choose_poses(views, mark.grid, parameters(), options_.protocol);
  MarkMatcher matcher(setup_.path, std::move(views), parameters(), options_.protocol, channels);
  if (matcher.useful_flops_per_exemplar() == 0) throw no_support_left(file);
  if (is_blank) throw no_contrast(file);
  return matcher;
}

/// Runs a step of one mark, which does not communicate, on all ranks of the team. False when the mark's file is bad: it
/// is told, counted and left out. Every rank finds the same fault, or the file is not the same on all.
bool TeamSearch::unless_bad(const std::filesystem::path& file, const std::function<void()>& step) {
  std::optional<std::string> fault;
  team_.together([&] {
    try {
      step();
    } catch (const DataError& error) {
      if (options_.strict) throw;
      fault = error.what();
    }
  });
  if (!team_.any_of(fault.has_value())) return true;
  team_.together([&] {
    if (!fault) {
      throw EnvironmentError(file.string() + ": only some ranks can read it; do all of them see the same folder?");
    }
  });
  if (!team_.is_root()) return false;
  // Of the mark, or of its mask.
  summary_.skipped.push_back(fault->starts_with(file.string()) ? *fault : file.string() + ": " + *fault);
  spdlog::warn("skipped {}", summary_.skipped.back());
  return false;
}

// --- Its comparison with the exemplars ------------------------------------------------------------------------------

/// For each mark the best `count` of this rank's exemplars, in any order, in one pass over its blocks.
std::vector<std::vector<Candidate>> TeamSearch::search_own(std::span<const MarkMatcher* const> marks,
                                                           std::int64_t count) {
  std::vector<std::vector<Candidate>> best(marks.size());
  const auto search_run = [&](std::span<const at::Tensor> run, std::int64_t first_block) {
    // A pass that serves several marks may outlast the time a cluster gives; what the marks before have found is saved.
    if (blocks_.makes_blocks_anew() && stop_requested()) throw StopRequested("stopped on request while searching");
    const auto exemplars =
        std::span(setup_.index.exemplar_of_lane)
            .subspan(static_cast<std::size_t>((own_.begin + first_block) * kLanes), run.size() * kLanes);
    for (std::size_t i = 0; i < marks.size(); ++i) {
      std::vector<match::BestPose> found(run.size() * kLanes);
      marks[i]->search(run, found);
      for (std::size_t lane = 0; lane < exemplars.size(); ++lane) {
        if (exemplars[lane] >= 0) best[i].push_back({exemplars[lane], found[lane]});
      }
      keep_best(best[i], count);
    }
  };
  team_.together([&] {
    if (!marks.empty()) blocks_.visit(search_run);
  });
  return best;
}

std::vector<Candidate> TeamSearch::search_own(const MarkMatcher& mark, std::int64_t count) {
  const MarkMatcher* const marks[] = {&mark};
  return std::move(search_own(marks, count).front());
}

/// Those of `exemplars` (ascending) that are this rank's.
std::vector<Candidate> TeamSearch::search_some(const MarkMatcher& mark, std::span<const std::int64_t> exemplars) {
  const std::int64_t first = own_.begin * kLanes;
  std::vector<std::int64_t> mine;  // lanes
  for (const std::int64_t exemplar : exemplars) {
    const std::int64_t lane = setup_.index.lane_of_exemplar[static_cast<std::size_t>(exemplar)];
    if (lane >= first && lane < own_.end * kLanes) mine.push_back(lane - first);
  }
  std::ranges::sort(mine);
  std::vector<Candidate> best;
  team_.together([&] {
    blocks_.visit_exemplars(mine, [&](std::span<const at::Tensor> packed, std::span<const std::int64_t> lanes) {
      std::vector<match::BestPose> found(packed.size() * kLanes);
      mark.search(packed, found);
      for (std::size_t i = 0; i < lanes.size(); ++i) {
        best.push_back({setup_.index.exemplar_of_lane[static_cast<std::size_t>(first + lanes[i])], found[i]});
      }
    });
  });
  return best;
}

/// The best `count` of all ranks, best first, on root.
std::vector<Candidate> TeamSearch::best_of_team(const std::vector<Candidate>& own, std::int64_t count) const {
  std::vector<Candidate> best = team_.gatherv(std::span(own)).values;
  keep_best(best, count);
  std::ranges::sort(best, is_better);
  return best;
}

std::vector<MarkResult> TeamSearch::search_batch(std::span<ReadyMark> marks) {
  std::vector<MarkResult> results;
  if (options_.coarse > 0) {
    for (const ReadyMark& mark : marks) results.push_back(search_coarsely_first(mark));
  } else {
    std::vector<const MarkMatcher*> matchers;
    for (const ReadyMark& mark : marks) matchers.push_back(&mark.matcher);
    const std::int64_t count = candidates_a_mark(setup_, options_);
    for (const auto& own : search_own(matchers, count)) results.push_back({.best = best_of_team(own, count)});
  }
  for (std::size_t i = 0; i < marks.size(); ++i) {
    results[i].position = marks[i].position;
    results[i].mark = std::move(marks[i].mark);
  }
  return results;
}

// --- With a first pass ----------------------------------------------------------------------------------------------

/// A first pass over a coarse grid, then the best `coarse` exemplars of it in full.
MarkResult TeamSearch::search_coarsely_first(const ReadyMark& mark) {
  const std::int64_t count = candidates_a_mark(setup_, options_);
  std::optional<MarkMatcher> coarse;
  team_.together([&] {
    std::vector<match::MarkView> views = coarse_views(mark.views, mark.mark.grid, parameters().geometry.stride_px);
    choose_poses(views, mark.mark.grid, parameters(), options_.protocol);
    coarse.emplace(setup_.path, std::move(views), parameters(), options_.protocol,
                   setup_.metrics.of(mark.position).channels);
  });
  if (coarse->useful_flops_per_exemplar() == 0) {  // the support lies between the coarse grid's cells
    return {.best = best_of_team(search_own(mark.matcher, count), count), .coarse_score = coarse_scores({})};
  }
  const std::vector<Candidate> first_pass =
      search_own(*coarse, options_.all_scores ? parameters().exemplars : options_.coarse);
  const std::vector<std::int64_t> kept = kept_by_team(first_pass);
  MarkResult result = {.best = best_of_team(search_some(mark.matcher, kept), count),
                       .coarse_score = coarse_scores(first_pass)};
  if (measures_recall(mark.position, std::ssize(setup_.marks), options_.coarse_recall)) {
    const std::int64_t top = std::min(options_.top, parameters().exemplars);
    count_recall(best_of_team(search_own(mark.matcher, top), top), kept);
  }
  return result;
}

/// The exemplars that the first pass keeps, ascending; the same on all ranks.
std::vector<std::int64_t> TeamSearch::kept_by_team(std::vector<Candidate> own_first_pass) const {
  keep_best(own_first_pass, options_.coarse);
  std::vector<Candidate> best = team_.all_gatherv(std::span<const Candidate>(own_first_pass)).values;
  keep_best(best, options_.coarse);
  std::vector<std::int64_t> kept;
  for (const Candidate& candidate : best) kept.push_back(candidate.exemplar);
  std::ranges::sort(kept);
  return kept;
}

/// What the first pass says of every exemplar, if that is wanted, on root. NaN: nothing.
std::vector<float> TeamSearch::coarse_scores(const std::vector<Candidate>& own_first_pass) const {
  if (!options_.all_scores) return {};
  const std::vector<Candidate> all = team_.gatherv(std::span(own_first_pass)).values;
  if (!team_.is_root()) return {};
  std::vector<float> scores(static_cast<std::size_t>(parameters().exemplars), std::numeric_limits<float>::quiet_NaN());
  for (const Candidate& candidate : all) scores[static_cast<std::size_t>(candidate.exemplar)] = candidate.found.score;
  return scores;
}

/// Compares what was kept with the best of an exhaustive search, best first; on root, elsewhere it is empty.
void TeamSearch::count_recall(const std::vector<Candidate>& exhaustive, std::span<const std::int64_t> kept) {
  if (exhaustive.empty()) return;
  const auto is_kept = [&](const Candidate& candidate) {
    return std::ranges::binary_search(kept, std::int64_t{candidate.exemplar});
  };
  CoarseRecall& recall = summary_.coarse_recall;
  ++recall.marks;
  recall.first_kept += is_kept(exhaustive.front());
  recall.top += std::ssize(exhaustive);
  recall.top_kept += std::ranges::count_if(exhaustive, is_kept);
}

}  // namespace outsole::retrieval
