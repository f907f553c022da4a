#include "wear/evaluate_wear.h"

#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <vector>

#include "comm/partition.h"
#include "core/errors.h"
#include "core/progress.h"
#include "core/stop.h"
#include "ingest/image_record.h"
#include "machine/memory_budget.h"
#include "measure/image_quality.h"
#include "wear/baselines.h"
#include "wear/clean_scans.h"
#include "wear/pairs.h"
#include "wear/predictor.h"
#include "wear/prepared.h"

namespace outsole::wear {

namespace {

using nlohmann::ordered_json;

constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

/// The model, the baselines and the recent trend, in the order of the report.
constexpr std::size_t kMethods = 2 + std::size(kBaselines);
std::string name_of_method(std::size_t method) {
  if (method == 0) return "model";
  return method <= std::size(kBaselines) ? kBaselines[method - 1] : kRecentTrend;
}

struct Score {
  double ssim = kNothing, psnr_db = kNothing;  // NaN: no answer, or no truth
};
using Scores = std::array<Score, kMethods>;

struct PairScores {
  Scores scanned;  // against the scan as it was prepared
  Scores clean;    // against the noise-free one
};

/// What is judged, known to every rank.
struct Trial {
  PreparedStore scans;
  Predictor model;
  bool trained_on_these_scans = false;
  std::string split;
  std::vector<std::int64_t> training_scans;
  std::vector<TrainingPair> pairs;  // held out

  const PreparedInfo& scan(std::int64_t index) const { return scans.scans()[static_cast<std::size_t>(index)]; }
  double elapsed_weeks(const TrainingPair& pair) const {
    return std::abs(scan(pair.target).subject.week - scan(pair.input).subject.week);
  }
};

/// Shows the scans at the size of the model's images; UsageError where that is not a smaller one of their shape.
void show_at_model_size(PreparedStore& scans, const Predictor& model) {
  const ShownSize size{model.size().height, model.size().width};
  if (size == scans.stored_size()) return;
  require_reducible(scans.stored_size(), size, scans.store().path().string());
  scans.show_at(size);
}

std::int64_t needed_memory(const Trial& trial, int split_ranks) {
  constexpr std::int64_t kBytesAPixel = 250;    // a baseline's sums, the network's largest maps, the maps of the SSIM
  constexpr std::int64_t kNetworksBytes = 100;  // of that
  const std::int64_t bytes_a_pixel = kBytesAPixel - kNetworksBytes + kNetworksBytes / split_ranks;
  const ShownSize stored = trial.scans.stored_size();
  const std::int64_t whole_scan = stored == trial.scans.shown_size() ? 0 : 3 * stored.height_px * stored.width_px;
  return machine::kProcessBytes + bytes_a_pixel * trial.scans.height_px() * trial.scans.width_px() + whole_scan;
}

/// The pairs that were held out of training; of scans the model has not seen, all pairs.
void choose_pairs(Trial& trial) {
  const nlohmann::json& training = trial.model.training();
  const Task task = trial.model.task();
  if (trial.trained_on_these_scans) {
    const PairSets sets =
        wear::make_pairs(trial.scans.scans(), task, wear::parse_split(training.at("split").get<std::string>()),
                         training.at("seed").get<std::uint64_t>(), training.at("held_out_share").get<double>());
    trial.training_scans = sets.training_scans;
    trial.pairs = sets.held_out;
    return;
  }
  // Every pair is either a training pair or held out of a split in time.
  const PairSets sets = wear::make_pairs(trial.scans.scans(), task, Split::kTime, 0);
  trial.pairs = sets.training;
  trial.pairs.insert(trial.pairs.end(), sets.held_out.begin(), sets.held_out.end());
  for (TrainingPair& pair : trial.pairs) pair.unseen_target = false;  // the model does not say
}

/// Of open scans and an open model.
Trial make_trial(PreparedStore scans, Predictor model, const EvaluateWearOptions& options) {
  show_at_model_size(scans, model);
  Trial trial{std::move(scans), std::move(model), false, {}, {}, {}};
  machine::ensure_memory(options.memory_bytes, needed_memory(trial, options.split_ranks),
                         "judging images of this size");
  try {
    trial.trained_on_these_scans =
        trial.model.training().at("scans_sha256").get<std::string>() == trial.scans.store().sha256();
    trial.split = trial.model.training().at("split").get<std::string>();
    choose_pairs(trial);
  } catch (const nlohmann::json::exception& error) {
    throw DataError(options.model.string() + ": does not say how it was trained: " + error.what());
  }
  if (trial.pairs.empty()) throw DataError(options.scans.string() + ": no pair of scans is held out");
  return trial;
}

/// What every rank knows before the first pair. Collective.
Trial open_trial(const comm::Communicator& comm, const EvaluateWearOptions& options) {
  PreparedStore scans = PreparedStore::open_together(comm, options.scans);
  Predictor model = Predictor::open_together(comm, options.model, options.device);
  model.split(comm, options.split_ranks);
  std::optional<Trial> trial;
  comm.together([&] { trial.emplace(make_trial(std::move(scans), std::move(model), options)); });
  return std::move(*trial);
}

// --- One pair -------------------------------------------------------------------------------------------------------

Score score_of(const cv::Mat1b& answer, const cv::Mat1b& truth, const cv::Mat1b& known) {
  return {measure::structural_similarity(answer, truth, known), measure::peak_signal_to_noise_db(answer, truth, known)};
}

/// Judges the pairs of one rank, or of one team: there all of its ranks are called, and one gives the scores.
class Judge {
 public:
  Judge(const Trial& trial, const EvaluateWearOptions& options)
      : trial_(trial), options_(options), baselines_(trial.scans, trial.training_scans) {
    if (options.clean) clean_.emplace(*options.clean, trial.scans);
    for (const TrainingPair& pair : trial.pairs) {
      const TrainingPair*& farthest = farthest_[pair.target];
      if (farthest == nullptr || trial.elapsed_weeks(pair) > trial.elapsed_weeks(*farthest)) farthest = &pair;
    }
  }

  PairScores operator()(const TrainingPair& pair) {
    PreparedRecord target;
    cv::Mat1b input;
    trial_.model.together([&] {
      target = trial_.scans.record(pair.target);
      input = image(trial_.scans.record(pair.input).pixels);
    });
    const cv::Mat1b truth = image(target.pixels), known = image(target.support);
    PairScores scores;
    if (cv::countNonZero(known) == 0) return scores;
    const cv::Mat1f predicted = trial_.model(input, pair.weeks);
    if (!trial_.model.gets_images()) return scores;
    auto answers = baselines_.answers(pair, input);
    predicted.convertTo(answers["model"], CV_8U);
    if (const auto recent = options_.recent_trend ? baselines_.recent_trend(pair) : std::nullopt) {
      answers[kRecentTrend] = *recent;
    }
    const cv::Mat1b clean_truth = clean_ ? clean_->in_frame_of(target.info) : cv::Mat1b();
    JudgedPair judged{trial_.scan(pair.input), trial_.scan(pair.target), input, truth, {}};
    for (std::size_t method = 0; method < kMethods; ++method) {
      const auto answer = answers.find(name_of_method(method));
      if (answer == answers.end()) continue;
      const Score score = scores.scanned[method] = score_of(answer->second, truth, known);
      if (!clean_truth.empty()) scores.clean[method] = score_of(answer->second, clean_truth, known);
      judged.answers.push_back({answer->first, answer->second, score.ssim, score.psnr_db});
    }
    if (options_.on_target && farthest_.at(pair.target) == &pair) options_.on_target(judged);
    return scores;
  }

 private:
  cv::Mat1b image(const std::vector<std::uint8_t>& bytes) const {
    return ingest::byte_image(bytes, trial_.scans.height_px(), trial_.scans.width_px());
  }

  const Trial& trial_;
  const EvaluateWearOptions& options_;
  Baselines baselines_;
  std::optional<CleanScans> clean_;
  std::map<std::int64_t, const TrainingPair*> farthest_;  // of each target, its most distant input
};

/// The scores of all pairs in their order, on root.
std::vector<PairScores> judge_all(const Trial& trial, const EvaluateWearOptions& options,
                                  const comm::Communicator& comm) {
  std::vector<PairScores> own;
  const auto judge_own = [&] {
    std::optional<Judge> judge;
    trial.model.together([&] { judge.emplace(trial, options); });
    const int team = options.split_ranks;
    const comm::UnitRange mine = comm::units_of(std::ssize(trial.pairs), comm.rank() / team, comm.size() / team);
    Progress progress("judging", "pairs", mine.size(), comm.is_root());
    for (std::int64_t i = mine.begin; i < mine.end; ++i) {
      trial.model.together([] {
        if (stop_requested()) throw StopRequested("stopped on request; an evaluation starts anew");
      });
      const PairScores scores = (*judge)(trial.pairs[static_cast<std::size_t>(i)]);
      if (trial.model.gets_images()) own.push_back(scores);
      progress.advance();
    }
  };
  if (options.split_ranks == 1) {
    comm.together(judge_own);
  } else {
    comm.together_by_teams(judge_own);
  }
  std::vector<PairScores> all;
  for (const std::string& part : comm.gather({reinterpret_cast<const char*>(own.data()), own.size() * sizeof own[0]})) {
    const std::size_t begin = all.size();
    all.resize(begin + part.size() / sizeof own[0]);
    std::memcpy(all.data() + begin, part.data(), part.size());
  }
  return all;
}

// --- The report -----------------------------------------------------------------------------------------------------

struct Statistics {
  double mean = kNothing, standard_deviation = kNothing;  // of the sample; 0 for one value
  std::int64_t n = 0;
};

/// Of the values that are not NaN; an infinite one makes the mean infinite.
Statistics statistics_of(std::span<const double> values) {
  Statistics result;
  double sum = 0, squares = 0;
  for (const double value : values) {
    if (std::isnan(value)) continue;
    sum += value;
    ++result.n;
  }
  if (result.n == 0) return result;
  result.mean = sum / static_cast<double>(result.n);
  for (const double value : values) {
    if (!std::isnan(value)) squares += (value - result.mean) * (value - result.mean);
  }
  result.standard_deviation = result.n == 1 ? 0 : std::sqrt(squares / static_cast<double>(result.n - 1));
  return result;
}

ordered_json json_of(const Statistics& statistics) {
  const auto number = [](double value) { return std::isfinite(value) ? ordered_json(value) : ordered_json(); };
  return {{"mean", number(statistics.mean)}, {"std", number(statistics.standard_deviation)}, {"n", statistics.n}};
}

/// True when the model's mean is above that of every baseline with an answer; null when there is nothing to compare.
ordered_json beats_all(const std::array<Statistics, kMethods>& statistics) {
  if (statistics[0].n == 0) return nullptr;
  bool compared = false, beaten = true;
  for (std::size_t method = 1; method < kMethods; ++method) {
    if (statistics[method].n == 0) continue;
    compared = true;
    beaten = beaten && statistics[0].mean > statistics[method].mean;
  }
  return compared ? ordered_json(beaten) : ordered_json();
}

/// All scores of a trial, against the scans or against noise-free truths.
struct Report {
  const Trial& trial;
  const std::vector<PairScores>& scores;
  Scores PairScores::*against;
  std::size_t methods;  // that are reported

  using Choice = std::function<bool(const TrainingPair&)>;

  /// Statistics over the chosen pairs.
  ordered_json part(const Choice& is_chosen) const {
    ordered_json result{{"pairs", 0}};
    for (const auto& [name, measure] : {std::pair{"ssim", &Score::ssim}, std::pair{"psnr_db", &Score::psnr_db}}) {
      std::array<std::vector<double>, kMethods> values;
      for (std::size_t i = 0; i < scores.size(); ++i) {
        if (!is_chosen(trial.pairs[i])) continue;
        for (std::size_t method = 0; method < kMethods; ++method) {
          values[method].push_back((scores[i].*against)[method].*measure);
        }
      }
      std::array<Statistics, kMethods> statistics;
      for (std::size_t method = 0; method < methods; ++method) {
        statistics[method] = statistics_of(values[method]);
        result[name][name_of_method(method)] = json_of(statistics[method]);
      }
      result["pairs"] = values[0].size();
      result["beats_all_baselines"][name] = beats_all(statistics);
    }
    return result;
  }

  /// The part over all pairs, with the parts of its groups.
  ordered_json whole() const {
    const auto wears = [](const TrainingPair& pair) { return pair.input != pair.target; };
    const auto within = [&](double from, double below) {
      return [&, from, below](const TrainingPair& pair) {
        const double weeks = trial.elapsed_weeks(pair);
        return wears(pair) && weeks >= from && weeks < below;
      };
    };
    ordered_json result = part(wears);
    // Edges between fortnights, so that scans a few days early or late fall where they belong.
    struct Bin {
      const char* name;
      double from, below;
    };
    for (const Bin& bin : {Bin{"0", 0, 1}, Bin{"2-6", 1, 7}, Bin{"8-14", 7, 15}, Bin{"16-26", 15, 27},
                           Bin{"28-52", 27, std::numeric_limits<double>::infinity()}}) {
      result["by_weeks"][bin.name] = part(within(bin.from, bin.below));
    }
    result["eight_weeks_and_more"] = part(within(8, std::numeric_limits<double>::infinity()));
    result["same_scan"] = part([&](const auto& pair) { return !wears(pair); });
    if (trial.model.task() == Task::kReconstruction) {
      result["trained_target_weeks"] = part([&](const auto& pair) { return wears(pair) && !pair.unseen_target; });
      result["unseen_target_weeks"] = part([&](const auto& pair) { return wears(pair) && pair.unseen_target; });
    }
    return result;
  }
};

ordered_json report_of(const Trial& trial, const std::vector<PairScores>& scores, const EvaluateWearOptions& options) {
  const std::size_t methods = options.recent_trend ? kMethods : kMethods - 1;
  ordered_json json{{"task", name_of(trial.model.task())},
                    {"split", trial.split},
                    {"trained_on_these_scans", trial.trained_on_these_scans},
                    {"model_sha256", trial.model.sha256()},
                    {"scans_sha256", trial.scans.store().sha256()},
                    {"height_px", trial.scans.height_px()},
                    {"width_px", trial.scans.width_px()}};
  json.update(Report{trial, scores, &PairScores::scanned, methods}.whole());
  if (options.clean) json["clean"] = Report{trial, scores, &PairScores::clean, methods}.whole();
  return json;
}

}  // namespace

ordered_json evaluate_wear(const EvaluateWearOptions& options, const comm::Communicator& comm) {
  const Trial trial = open_trial(comm, options);
  if (comm.is_root() && !trial.trained_on_these_scans) {
    spdlog::warn(
        "{}: not the scans the model was trained on; every pair counts as held out, and of the baselines only "
        "persistence has an answer",
        options.scans.string());
  }
  const std::vector<PairScores> scores = judge_all(trial, options, comm);
  return comm.is_root() ? report_of(trial, scores, options) : ordered_json();
}

machine::Plan wear_evaluation_plan(const comm::Communicator& comm, const EvaluateWearOptions& options) {
  EvaluateWearOptions without_pictures = options;
  without_pictures.on_target = nullptr;
  const Trial trial = open_trial(comm, options);
  std::optional<Judge> judge;
  comm.together([&] { judge.emplace(trial, without_pictures); });
  const double pair_s = machine::measured_seconds(comm, 2, [&] { (*judge)(trial.pairs.front()); });
  const std::int64_t pairs = std::ssize(trial.pairs);
  machine::Plan plan;
  plan.lines = {{"task", name_of(trial.model.task())},
                {"pairs", fmt::format("{} held out, of {} scans of {} x {} pixels", pairs, trial.scans.size(),
                                      trial.scans.height_px(), trial.scans.width_px())},
                {"partition", fmt::format("{} ranks share the pairs", comm.size())}};
  plan.work.partitions = {{"pairs", pairs}};
  if (options.split_ranks > 1) plan.work.partitions = {{"slabs", pairs * options.split_ranks}};
  plan.work.compute_s = pair_s * static_cast<double>(pairs * options.split_ranks);
  plan.work.read_bytes = static_cast<double>(trial.scans.store().size_bytes());
  plan.work.memory_bytes = static_cast<double>(needed_memory(trial, options.split_ranks));
  plan.basis = fmt::format("without pictures, {:.3g} s a pair, measured now", pair_s);
  return plan;
}

std::vector<std::string> baselines_not_beaten(const ordered_json& measure) {
  std::vector<std::string> names;
  for (const auto& [name, statistics] : measure.items()) {
    if (name == "model" || statistics["n"] == 0) continue;
    const bool is_beaten = !statistics["mean"].is_null() && !measure["model"]["mean"].is_null() &&
                           measure["model"]["mean"].get<double>() > statistics["mean"].get<double>();
    if (!is_beaten) names.push_back(name);
  }
  return names;
}

}  // namespace outsole::wear
