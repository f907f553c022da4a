#pragma once
// What a wear model has to beat: answers that know nothing of wear, or no more than a straight line.

#include <cstdint>
#include <list>
#include <map>
#include <opencv2/core.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "wear/pairs.h"
#include "wear/prepared.h"

namespace outsole::wear {

/// The names, as `evaluate wear` reports them.
inline constexpr const char* kBaselines[] = {"persistence", "last_training_week", "training_mean", "linear_trend"};

/// The name of one more, which is reported where it is asked for.
inline constexpr char kRecentTrend[] = "recent_trend";

/// Answers from the training scans, per pixel, over pixels the scanner saw. For a shoe with training scans (split by
/// time) they are that shoe's; for a shoe without any (split by shoe or pair) those of all training shoes of the same
/// foot (left or right). Where no training scan saw a pixel, the answer is paper.
///
/// Statistics are made when a shoe or foot is first asked about, from one reading of its scans; those of the last two
/// stay, of either kind. Memory: 80 bytes a pixel while they are made, 12 a pixel for each that is kept. Not
/// collective, one thread.
class Baselines {
 public:
  /// `scans` must outlive it. Reads no pixels yet.
  Baselines(const wear::PreparedStore& scans, std::span<const std::int64_t> training_scans);

  /// The four answers for a pair, CV_8UC1, by name. persistence: the input. last_training_week: the training scans of
  /// the week nearest to the target's (the earlier of two equally near), the mean of replicates. training_mean: the
  /// mean of the training scans. linear_trend: for a shoe with training scans the least-squares line through them per
  /// pixel, at the target's week; for others the input plus the mean slope of the foot's training shoes times the weeks
  /// between; where fewer than two weeks saw a pixel the slope is 0. Clipped to 0..255. Without a training scan of the
  /// shoe or the foot there is only persistence. Throws DataError when the store is damaged.
  std::map<std::string, cv::Mat1b> answers(const TrainingPair& pair, const cv::Mat1b& input);

  /// Half the trend of the shoe's training scans nearest to the target's week, the last ones for a later week: the mean
  /// of the nearest three and, from their middle on, half of the least-squares slope of the nearest six; per pixel, of
  /// those that saw it. What wear did of late it goes on doing, but not all of it, and three scans have less noise than
  /// one. Nothing for a shoe without training scans. Throws as answers.
  std::optional<cv::Mat1b> recent_trend(const TrainingPair& pair);

 private:
  /// The training scans that answer for a shoe: its own, or those of its foot.
  struct Source {
    std::string name;  // "shoe NAME" or "foot L"
    bool is_own = false;
    std::vector<std::vector<std::int64_t>> shoes;  // the scans of each
  };
  /// Of each pixel, [height, width]. A shoe's least-squares line passes through (mean_week, mean_grey).
  struct Trend {
    cv::Mat1f mean_grey, mean_week;  // over the scans that saw it
    cv::Mat1f slope;                 // grey a week, mean over shoes
  };
  struct WeekMean {
    std::string source;
    double week = 0;
    cv::Mat1b image;
  };

  std::optional<Source> source_for(const ingest::ScanSubject& subject) const;
  const Trend& trend_of(const Source& source);
  Trend made_trend(const Source& source) const;
  Trend made_recent_trend(std::span<const std::int64_t> nearest) const;
  double week_of(std::int64_t scan) const { return scans_.scans()[static_cast<std::size_t>(scan)].subject.week; }
  const cv::Mat1b& nearest_week(const Source& source, double week);
  cv::Mat1b mean_of_week(const Source& source, double week) const;

  const wear::PreparedStore& scans_;
  /// The training scans by foot, then by shoe.
  std::map<std::string, std::map<std::string, std::vector<std::int64_t>>> training_;
  std::list<std::pair<std::string, Trend>> trends_;                       // by source, the last used first
  std::list<std::pair<std::vector<std::int64_t>, Trend>> recent_trends_;  // by scans, likewise
  WeekMean week_mean_;                                                    // the last one asked for
};

}  // namespace outsole::wear
