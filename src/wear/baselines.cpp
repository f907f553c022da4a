#include "wear/baselines.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/checked.h"
#include "core/errors.h"
#include "image/geometry.h"

namespace outsole::wear {

namespace {

constexpr std::size_t kKeptTrends = 2;  // the left and the right foot, when shoes alternate

// Of the recent trend. Chosen within the training weeks of five synthetic years, see docs/wear.md.
constexpr std::size_t kMeanScans = 3, kSlopeScans = 6;
constexpr double kDamping = 0.5;

cv::Size size_of(const wear::PreparedStore& scans) {
  return {narrow<int>(scans.width_px()), narrow<int>(scans.height_px())};
}

/// Sums over the scans of one shoe that saw a pixel.
struct LineSums {
  double scans = 0, week = 0, week2 = 0, grey = 0, week_grey = 0;

  void add(double at_week, double value) {
    scans += 1;
    week += at_week;
    week2 += at_week * at_week;
    grey += value;
    week_grey += at_week * value;
  }

  /// The weeks' variance times scans^2; 0 when all are of one week, but for rounding.
  double spread() const {
    constexpr double kRounding = 1e-10;
    const double value = scans * week2 - week * week;
    return value > kRounding * scans * week2 ? value : 0;
  }
  double slope() const { return (scans * week_grey - week * grey) / spread(); }
};

/// Sums over all shoes of a source.
struct PixelSums {
  double scans = 0, week = 0, grey = 0;
  double slope = 0, sloping_shoes = 0;

  void add(const LineSums& shoe) {
    scans += shoe.scans;
    week += shoe.week;
    grey += shoe.grey;
    if (shoe.spread() == 0) return;
    slope += shoe.slope();
    sloping_shoes += 1;
  }
};

cv::Mat1b rounded(const cv::Mat1f& grey) {
  cv::Mat1b result;
  grey.convertTo(result, CV_8U);  // clips, too
  return result;
}

/// What is kept under the key, or else made and kept; the last used ones come first and stay.
template <typename Key, typename Value, typename Make>
const Value& kept_or_made(std::list<std::pair<Key, Value>>& kept, const Key& key, const Make& make) {
  const auto found = std::ranges::find(kept, key, &std::pair<Key, Value>::first);
  if (found != kept.end()) {
    kept.splice(kept.begin(), kept, found);
  } else {
    while (kept.size() >= kKeptTrends) kept.pop_back();
    kept.emplace_front(key, make());
  }
  return kept.front().second;
}

}  // namespace

Baselines::Baselines(const wear::PreparedStore& scans, std::span<const std::int64_t> training_scans) : scans_(scans) {
  for (const std::int64_t scan : training_scans) {
    const ingest::ScanSubject& subject = scans.scans()[static_cast<std::size_t>(scan)].subject;
    training_[subject.foot][subject.shoe].push_back(scan);
  }
}

std::map<std::string, cv::Mat1b> Baselines::answers(const TrainingPair& pair, const cv::Mat1b& input) {
  std::map<std::string, cv::Mat1b> answers{{"persistence", input}};
  const ingest::ScanSubject& from = scans_.scans()[static_cast<std::size_t>(pair.input)].subject;
  const double to_week = scans_.scans()[static_cast<std::size_t>(pair.target)].subject.week;
  const std::optional<Source> source = source_for(from);
  if (!source) return answers;
  answers["last_training_week"] = nearest_week(*source, to_week);
  const Trend& trend = trend_of(*source);
  answers["training_mean"] = rounded(trend.mean_grey);
  const cv::Mat1f line = source->is_own ? cv::Mat1f(trend.mean_grey + trend.slope.mul(to_week - trend.mean_week))
                                        : cv::Mat1f(cv::Mat1f(input) + trend.slope * (to_week - from.week));
  answers["linear_trend"] = rounded(line);
  return answers;
}

std::optional<Baselines::Source> Baselines::source_for(const ingest::ScanSubject& subject) const {
  const auto foot = training_.find(subject.foot);
  if (foot == training_.end()) return std::nullopt;
  if (const auto own = foot->second.find(subject.shoe); own != foot->second.end()) {
    return Source{"shoe " + subject.shoe, true, {own->second}};
  }
  Source source{"foot " + subject.foot, false, {}};
  for (const auto& [shoe, scans] : foot->second) source.shoes.push_back(scans);
  return source;
}

const Baselines::Trend& Baselines::trend_of(const Source& source) {
  return kept_or_made(trends_, source.name, [&] { return made_trend(source); });
}

std::optional<cv::Mat1b> Baselines::recent_trend(const TrainingPair& pair) {
  const std::optional<Source> source = source_for(scans_.scans()[static_cast<std::size_t>(pair.input)].subject);
  if (!source || !source->is_own) return std::nullopt;
  const double week = week_of(pair.target);
  std::vector<std::int64_t> nearest = source->shoes.front();
  std::ranges::stable_sort(nearest, {}, [&](std::int64_t scan) { return std::abs(week_of(scan) - week); });
  nearest.resize(std::min(nearest.size(), kSlopeScans));
  const Trend& trend = kept_or_made(recent_trends_, nearest, [&] { return made_recent_trend(nearest); });
  return rounded(trend.mean_grey + kDamping * trend.slope.mul(week - trend.mean_week));
}

Baselines::Trend Baselines::made_recent_trend(std::span<const std::int64_t> nearest) const {
  const cv::Size size = size_of(scans_);
  std::vector<LineSums> middle(static_cast<std::size_t>(size.area())), line(middle.size());
  for (std::size_t scan = 0; scan < nearest.size(); ++scan) {
    const wear::PreparedRecord record = scans_.record(nearest[scan]);
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (record.support[i] == 0) continue;
      line[i].add(record.info.subject.week, record.pixels[i]);
      if (scan < kMeanScans) middle[i].add(record.info.subject.week, record.pixels[i]);
    }
  }
  Trend trend{cv::Mat1f(size, image::kPaper), cv::Mat1f(size, 0), cv::Mat1f(size, 0)};
  for (std::size_t i = 0; i < line.size(); ++i) {
    const LineSums& near = middle[i].scans > 0 ? middle[i] : line[i];
    if (near.scans == 0) continue;
    const int at = narrow<int>(i);
    trend.mean_grey(at) = static_cast<float>(near.grey / near.scans);
    trend.mean_week(at) = static_cast<float>(near.week / near.scans);
    if (line[i].spread() > 0) trend.slope(at) = static_cast<float>(line[i].slope());
  }
  return trend;
}

Baselines::Trend Baselines::made_trend(const Source& source) const {
  const cv::Size size = size_of(scans_);
  const auto pixels = static_cast<std::size_t>(scans_.height_px() * scans_.width_px());
  std::vector<PixelSums> sums(pixels);
  for (const std::vector<std::int64_t>& scans : source.shoes) {
    std::vector<LineSums> line(pixels);
    for (const std::int64_t scan : scans) {
      const wear::PreparedRecord record = scans_.record(scan);
      for (std::size_t i = 0; i < pixels; ++i) {
        if (record.support[i] != 0) line[i].add(record.info.subject.week, record.pixels[i]);
      }
    }
    for (std::size_t i = 0; i < pixels; ++i) sums[i].add(line[i]);
  }
  Trend trend{cv::Mat1f(size, image::kPaper), cv::Mat1f(size, 0), cv::Mat1f(size, 0)};
  for (std::size_t i = 0; i < pixels; ++i) {
    const PixelSums& sum = sums[i];
    const int at = narrow<int>(i);
    if (sum.scans > 0) {
      trend.mean_grey(at) = static_cast<float>(sum.grey / sum.scans);
      trend.mean_week(at) = static_cast<float>(sum.week / sum.scans);
    }
    if (sum.sloping_shoes > 0) trend.slope(at) = static_cast<float>(sum.slope / sum.sloping_shoes);
  }
  return trend;
}

const cv::Mat1b& Baselines::nearest_week(const Source& source, double week) {
  double nearest = std::numeric_limits<double>::quiet_NaN();
  for (const std::vector<std::int64_t>& scans : source.shoes) {
    for (const std::int64_t scan : scans) {
      const double other = scans_.scans()[static_cast<std::size_t>(scan)].subject.week;
      const double distance = std::abs(other - week), least = std::abs(nearest - week);
      if (!(distance > least || (distance == least && other > nearest))) nearest = other;
    }
  }
  if (week_mean_.source != source.name || week_mean_.week != nearest) {
    week_mean_ = {source.name, nearest, mean_of_week(source, nearest)};
  }
  return week_mean_.image;
}

cv::Mat1b Baselines::mean_of_week(const Source& source, double week) const {
  cv::Mat1f sum(size_of(scans_), 0), seen(size_of(scans_), 0);
  for (const std::vector<std::int64_t>& scans : source.shoes) {
    for (const std::int64_t scan : scans) {
      if (scans_.scans()[static_cast<std::size_t>(scan)].subject.week != week) continue;
      const wear::PreparedRecord record = scans_.record(scan);
      for (std::size_t i = 0; i < record.pixels.size(); ++i) {
        if (record.support[i] == 0) continue;
        sum(narrow<int>(i)) += record.pixels[i];
        seen(narrow<int>(i)) += 1;
      }
    }
  }
  cv::Mat1f mean = sum / seen;
  mean.setTo(image::kPaper, seen == 0);
  return rounded(mean);
}

}  // namespace outsole::wear
