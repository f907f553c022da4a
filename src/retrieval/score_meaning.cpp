#include "retrieval/score_meaning.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/text.h"

namespace outsole::retrieval {

namespace {

using nlohmann::json;

constexpr std::size_t kMostCalibrationBytes = std::size_t{256} << 20;
constexpr std::size_t kMostResampledLines = 100'000;
constexpr double kGreatest = 1e6;  // of any number of a calibration: beyond, sums of doubles say nothing

/// The median; the order of `values` changes.
double median_of(std::vector<double>& values) {
  const auto middle = values.begin() + std::ssize(values) / 2;
  std::ranges::nth_element(values, middle);
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

/// A member of a calibration by its path, such as "bounds.most_log10_lr", for messages that name it.
class Members {
 public:
  Members(const std::filesystem::path& path, const json& calibration) : path_(path), calibration_(calibration) {}

  double number(const std::string& pointer, double least, double most) const {
    return number(at(pointer), pointer, least, most);
  }
  double number(const json& value, const std::string& pointer, double least, double most) const {
    if (!value.is_number()) fail(pointer, "is no number");
    const double number = value.get<double>();
    if (!(number >= least && number <= most)) {
      fail(pointer, fmt::format("is {}, outside {} to {}", number, least, most));
    }
    return number;
  }
  std::string text(const std::string& pointer) const {
    const json& value = at(pointer);
    if (!value.is_string()) fail(pointer, "is no text");
    return value.get<std::string>();
  }
  const json& at(const std::string& pointer) const {
    const json::json_pointer where("/" + pointer);
    if (!calibration_.contains(where)) fail(pointer, "is missing");
    return calibration_.at(where);
  }
  [[noreturn]] void fail(const std::string& pointer, const std::string& what) const {
    throw DataError(path_.string() + ": `calibration/" + pointer + "` " + what);
  }

 private:
  const std::filesystem::path& path_;
  const json& calibration_;
};

std::vector<ScoreCalibration::Line> resampled_lines(const Members& members) {
  const std::string pointer = "log10_lr/resampled";
  const json& lines = members.at(pointer);
  if (!lines.is_array() || lines.empty() || lines.size() > kMostResampledLines) {
    members.fail(pointer, "is no list of lines");
  }
  std::vector<ScoreCalibration::Line> result;
  for (const json& line : lines) {
    if (!line.is_array() || line.size() != 2) members.fail(pointer, "holds what is no [intercept, slope]");
    result.push_back({members.number(line[0], pointer, -kGreatest, kGreatest),
                      members.number(line[1], pointer, -kGreatest, kGreatest)});
  }
  return result;
}

/// What of a search may differ without a change of what its scores mean: which marks, and how much of their lists was
/// kept.
bool matters(const std::string& parameter) {
  static const std::set<std::string> kOthers{"marks",      "marks_sha256", "top",
                                             "all_scores", "arithmetic",   "results_sha256"};
  return !kOthers.contains(parameter);
}

std::string shown(const json& object, const std::string& key) {
  if (!object.contains(key)) return "nothing";
  const json& value = object.at(key);
  return printable(value.is_string() ? value.get<std::string>()
                                     : value.dump(-1, ' ', true, json::error_handler_t::replace));
}

/// The nearest-rank quantile of sorted values.
double quantile(const std::vector<double>& sorted, double share) {
  const double place = std::ceil(share * static_cast<double>(sorted.size())) - 1;
  return sorted[static_cast<std::size_t>(std::clamp(place, 0.0, static_cast<double>(sorted.size() - 1)))];
}

}  // namespace

ScoreLevel level_of(std::span<const float> scores_of_mark) {
  std::vector<double> values;
  for (const float score : scores_of_mark) {
    if (!std::isnan(score)) values.push_back(score);
  }
  ScoreLevel level;
  level.known = std::ssize(values);
  if (values.empty()) return level;
  level.median = median_of(values);
  for (double& value : values) value = std::abs(value - level.median);
  constexpr double kDeviationOfMedianDistance = 1.4826;  // of normally distributed scores
  level.spread = kDeviationOfMedianDistance * median_of(values);
  return level;
}

ScoreCalibration read_calibration(const std::filesystem::path& evaluation) {
  const json whole = parse_json(read_text_file(evaluation, kMostCalibrationBytes));
  if (!whole.is_object()) throw DataError(evaluation.string() + ": is no JSON object");
  if (!whole.contains("calibration") || !whole["calibration"].is_object()) {
    throw DataError(evaluation.string() +
                    ": holds no `calibration`; `outsole evaluate retrieval --calibrate` writes one");
  }
  const Members members(evaluation, whole["calibration"]);
  ScoreCalibration calibration;
  calibration.intercept = members.number("log10_lr/intercept", -kGreatest, kGreatest);
  calibration.slope = members.number("log10_lr/slope", 0, kGreatest);
  calibration.resampled = resampled_lines(members);
  calibration.least_log10_lr = members.number("bounds/least_log10_lr", -300, 0);
  calibration.most_log10_lr = members.number("bounds/most_log10_lr", 0, 300);
  calibration.cllr = members.number("cllr", 0, kGreatest);
  calibration.cllr_min = members.number("cllr_min", 0, kGreatest);
  constexpr double kMost = 1e15;
  calibration.marks = static_cast<std::int64_t>(members.number("marks", 1, kMost));
  calibration.exemplars = static_cast<std::int64_t>(members.number("exemplars", 1, kMost));
  calibration.proposition = members.text("propositions/first");
  calibration.alternative = members.text("propositions/alternative");
  calibration.search = members.at("search");
  if (!calibration.search.is_object()) members.fail("search", "is no object");
  return calibration;
}

std::vector<std::string> differences(const ScoreCalibration& calibration, const nlohmann::json& search) {
  std::set<std::string> keys;
  for (const json* parameters : {&calibration.search, &search}) {
    for (const auto& [key, value] : parameters->items()) {
      if (matters(key)) keys.insert(key);
    }
  }
  std::vector<std::string> lines;
  for (const std::string& key : keys) {
    const bool is_in_both = calibration.search.contains(key) && search.contains(key);
    if (is_in_both && calibration.search.at(key) == search.at(key)) continue;
    lines.push_back(printable(key) + ": " + shown(search, key) + " instead of " + shown(calibration.search, key));
  }
  return lines;
}

ScoreMeaning meaning_of(const ScoreCalibration& calibration, double score, const ScoreLevel& level) {
  if (!std::isfinite(score)) throw DataError("a score that is no number has no meaning");
  if (!(level.spread > 0) || !std::isfinite(level.spread) || !std::isfinite(level.median)) {
    throw DataError("half of a mark's scores are equal: a single one cannot be judged by them");
  }
  const auto bounded = [&](double log10_lr) {
    return std::clamp(log10_lr, calibration.least_log10_lr, calibration.most_log10_lr);
  };
  ScoreMeaning meaning;
  meaning.standardized = (score - level.median) / level.spread;
  const double line = calibration.intercept + calibration.slope * meaning.standardized;
  std::vector<double> resampled;
  for (const ScoreCalibration::Line& one : calibration.resampled) {
    resampled.push_back(one.intercept + one.slope * meaning.standardized);
  }
  std::ranges::sort(resampled);
  meaning.log10_lr = bounded(line);
  meaning.is_cut_low = line < calibration.least_log10_lr;
  meaning.is_cut_high = line > calibration.most_log10_lr;
  if (!resampled.empty()) {
    meaning.low = std::min(meaning.log10_lr, bounded(quantile(resampled, 0.025)));
    meaning.high = std::max(meaning.log10_lr, bounded(quantile(resampled, 0.975)));
  } else {
    meaning.low = meaning.high = meaning.log10_lr;
  }
  meaning.verbal = verbal_equivalent(meaning.log10_lr);
  return meaning;
}

std::string verbal_equivalent(double log10_lr) {
  struct Step {
    double from_lr;
    const char* words;
  };
  static constexpr std::array<Step, 6> kScale{{{1e6, "extremely strong"},
                                               {1e4, "very strong"},
                                               {1e3, "strong"},
                                               {1e2, "moderately strong"},
                                               {10, "moderate"},
                                               {2, "weak"}}};
  for (const Step& step : kScale) {
    if (std::abs(log10_lr) < std::log10(step.from_lr)) continue;
    const bool is_first = log10_lr > 0;
    return std::string(step.words) + " support for the " + (is_first ? "first" : "alternative") +
           " proposition rather than the " + (is_first ? "alternative" : "first");
  }
  return "no support for one proposition rather than the other";
}

}  // namespace outsole::retrieval
