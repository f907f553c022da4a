#pragma once
// The walk of a team of ranks over its marks: each rank sees some of a mark's views, all lay out all of them, each
// compares them with its own blocks of exemplars, and the best found come together on the team's root.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>
#include <span>
#include <vector>

#include "comm/communicator.h"
#include "comm/partition.h"
#include "retrieval/exemplar_blocks.h"
#include "retrieval/search.h"
#include "retrieval/search_results.h"
#include "retrieval/search_setup.h"

namespace outsole::retrieval {

/// Every function is collective over the team, and what it throws, all of the team throws.
class TeamSearch {
 public:
  /// `marks` are what the team will search, as positions in setup.marks and in this order.
  TeamSearch(const comm::Communicator& team, const SearchOptions& options, const SearchSetup& setup,
             std::vector<std::int64_t> marks);
  TeamSearch(const TeamSearch&) = delete;
  TeamSearch& operator=(const TeamSearch&) = delete;

  /// How many marks share a pass over the exemplars.
  std::int64_t marks_at_a_time() const { return marks_at_a_time_; }

  /// The results of the next `count` marks, in their order and without bad ones; on the team's root, elsewhere none.
  std::vector<MarkResult> search_next(std::int64_t count);

  /// Of the marks so far: what was skipped and recalled on the team's root; the seconds on every rank.
  const SearchSummary& summary() const { return summary_; }

 private:
  /// What this rank sees of a mark: its share of the views.
  struct SeenMark {
    ScaledMark mark;
    std::vector<match::MarkView> views;
  };
  /// A mark with all that its search needs.
  struct ReadyMark {
    std::int64_t position;               // in setup.marks
    ScaledMark mark;                     // without its image
    std::vector<match::MarkView> views;  // all of them, for a first pass
    MarkMatcher matcher;
  };

  const IndexParameters& parameters() const { return setup_.index.parameters; }

  const AppliedMetric& metric_of(std::size_t turn) const { return setup_.metrics.of(marks_[turn]); }
  std::int64_t marks_with_metric_of_next(std::int64_t most) const;

  // A mark until it is ready.
  std::future<SeenMark> look_at(std::size_t turn) const;
  SeenMark see(std::size_t turn) const;
  std::optional<ReadyMark> next_ready();
  MarkMatcher prepare(std::vector<match::MarkView> views, const ScaledMark& mark, std::int64_t position) const;
  bool unless_bad(const std::filesystem::path& file, const std::function<void()>& step);

  // Its comparison with the exemplars.
  std::vector<std::vector<Candidate>> search_own(std::span<const MarkMatcher* const> marks, std::int64_t count);
  std::vector<Candidate> search_own(const MarkMatcher& mark, std::int64_t count);
  std::vector<Candidate> search_some(const MarkMatcher& mark, std::span<const std::int64_t> exemplars);
  std::vector<Candidate> best_of_team(const std::vector<Candidate>& own, std::int64_t count) const;
  std::vector<MarkResult> search_batch(std::span<ReadyMark> marks);

  // With a first pass.
  MarkResult search_coarsely_first(const ReadyMark& mark);
  std::vector<std::int64_t> kept_by_team(std::vector<Candidate> own_first_pass) const;
  std::vector<float> coarse_scores(const std::vector<Candidate>& own_first_pass) const;
  void count_recall(const std::vector<Candidate>& exhaustive, std::span<const std::int64_t> kept);

  const comm::Communicator& team_;
  const SearchOptions& options_;
  const SearchSetup& setup_;
  comm::UnitRange own_;    // blocks that this rank searches
  ExemplarBlocks blocks_;  // those
  std::int64_t marks_at_a_time_;

  std::vector<std::int64_t> marks_;
  std::size_t next_ = 0;         // of them
  std::future<SeenMark> ahead_;  // that one
  SearchSummary summary_;
};

}  // namespace outsole::retrieval
