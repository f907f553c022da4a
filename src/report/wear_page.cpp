#include "report/wear_page.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "core/errors.h"
#include "core/files.h"
#include "core/input_files.h"
#include "core/json.h"
#include "core/provenance.h"
#include "core/sha256.h"
#include "report/page_inputs.h"
#include "report/page_text.h"
#include "report/quality_figure.h"
#include "report/report_folder.h"
#include "wear/evaluate_wear.h"

namespace outsole::report {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

std::string method_in_words(std::string name) {
  std::ranges::replace(name, '_', ' ');
  return name;
}

/// "0.8123 ± 0.0341", or a dash where there is no mean.
std::string mean_and_std(const ordered_json& statistics, int decimals) {
  if (statistics.at("mean").is_null()) return "–";
  const std::string mean = fmt::format("{:.{}f}", statistics.at("mean").get<double>(), decimals);
  if (statistics.at("std").is_null()) return mean;
  return mean + fmt::format(" ± {:.{}f}", statistics.at("std").get<double>(), decimals);
}

/// Whether the model is better than every baseline in a measure, and than which it is not.
std::string verdict(const ordered_json& part, const char* key, const char* measure) {
  std::string names;
  for (const std::string& name : wear::baselines_not_beaten(part.at(key)))
    names += (names.empty() ? "" : ", ") + method_in_words(name);
  return names.empty() ? fmt::format("In {} the model is better than every baseline.", measure)
                       : fmt::format("In {} the model is not better than: {}.", measure, names);
}

/// Throws json::exception unless it is what evaluate_wear gives of a measure.
void require_measure(const ordered_json& measure) {
  static_cast<void>(measure.at("model"));
  for (const auto& [name, statistics] : measure.items()) {
    for (const char* key : {"mean", "std", "n"}) static_cast<void>(statistics.at(key));
  }
}

/// A table of all methods over the part's pairs; nothing where it has none.
void add_part(const std::string& title, const ordered_json& part, json& parts) {
  const auto pairs = part.at("pairs").get<std::int64_t>();
  if (pairs == 0) return;
  for (const char* key : {"ssim", "psnr_db"}) require_measure(part.at(key));
  json rows = json::array();
  for (const auto& [name, statistics] : part.at("ssim").items()) {
    rows.push_back({{"name", method_in_words(name)},
                    {"is_model", name == "model"},
                    {"ssim", mean_and_std(statistics, 4)},
                    {"psnr", mean_and_std(part.at("psnr_db").at(name), 2)}});
  }
  parts.push_back({{"title", fmt::format("{}: {} pairs", title, pairs)},
                   {"rows", std::move(rows)},
                   {"verdicts", {verdict(part, "ssim", "SSIM"), verdict(part, "psnr_db", "PSNR")}}});
}

/// Of all pairs, by elapsed time, and of those of the target weeks that the model has seen in training and has not.
void add_parts(const std::string& against, const ordered_json& whole, json& parts) {
  add_part("All held-out pairs" + against, whole, parts);
  for (const auto& [weeks, part] : whole.at("by_weeks").items())
    add_part(weeks + (weeks == "0" ? " weeks apart: the same fortnight" : " weeks apart") + against, part, parts);
  for (const auto& [key, title] : {std::pair{"trained_target_weeks", "Target weeks seen in training"},
                                   std::pair{"unseen_target_weeks", "Target weeks never seen in training"}}) {
    if (whole.contains(key)) add_part(title + against, whole.at(key), parts);
  }
}

/// The strips of the folder that `evaluate wear --pictures` made, by name.
std::vector<fs::path> strips_in(const WearReportOptions& options) {
  if (options.pictures.empty()) return {};
  if (!fs::is_directory(options.pictures))
    throw UsageError("`wear-pictures` " + options.pictures.string() + ": is no folder");
  return find_inputs({options.pictures}, {".png"}, /*recursive=*/false).files;
}

json notes_on(const ordered_json& evaluation) {
  json notes = json::array();
  notes.push_back(
      fmt::format("Task: {}. Pairs were held out by {}{}. Answers are compared with the scan of the target week, by "
                  "structural similarity (SSIM, 1 at most) and peak signal to noise ratio (PSNR); mean ± standard "
                  "deviation over pairs.",
                  evaluation.at("task").get<std::string>(), evaluation.at("split").get<std::string>(),
                  evaluation.at("trained_on_these_scans").get<bool>() ? ""
                                                                      : "; the scans are of another store than "
                                                                        "the model was trained on"));
  notes.push_back(
      "Persistence gives the input back: that nothing wears. A model that is not better than it has learned no wear "
      "that these measures see.");
  return notes;
}

json made_of_wear(const WearReportOptions& options, const std::vector<fs::path>& strips) {
  const auto absolute = [](const fs::path& path) { return fs::absolute(path).lexically_normal().string(); };
  json pictures = json::array();
  for (const fs::path& strip : strips)
    pictures.push_back({{"path", absolute(strip)}, {"sha256", sha256_of_file(strip)}});
  return {{"pages", page_version()},
          {"versions", options.versions},
          {"wear_evaluation", {{"path", absolute(options.evaluation)}, {"sha256", sha256_of_file(options.evaluation)}}},
          {"strips", std::move(pictures)},
          {"title", options.title},
          {"command_line", options.command_line}};
}

void write_wear_pages(const WearReportOptions& options, const ordered_json& evaluation,
                      const std::vector<fs::path>& strips, const fs::path& folder) {
  std::error_code error;
  for (const char* part : {"figures", "strips"}) {
    fs::create_directories(folder / part, error);
    if (error) throw EnvironmentError((folder / part).string() + ": cannot be created: " + error.message());
  }
  json figures = json::array(), parts = json::array(), shown = json::array(), sha256 = json::array();
  const auto add_figure = [&](const char* file, const char* words, const ordered_json& whole,
                              const std::string& title) {
    write_file_atomically(folder / "figures" / file, quality_figure(whole, title));
    figures.push_back({{"file", file}, {"words", words}});
  };
  add_figure("quality.svg", "Quality by the weeks between input and target: the model, and every baseline", evaluation,
             quality_title(evaluation));
  add_parts("", evaluation, parts);
  if (evaluation.contains("clean")) {
    add_figure("quality-clean.svg", "The same against noise-free scans", evaluation.at("clean"),
               "against noise-free scans");
    add_parts(", against noise-free scans", evaluation.at("clean"), parts);
  }
  for (const fs::path& strip : strips) {
    const std::string name = page_name(std::ssize(shown) + 1);
    write_file_atomically(folder / "strips" / (name + ".png"), read_text_file(strip));
    shown.push_back({{"name", name}, {"id", id_of(strip)}});
  }
  for (const char* what : {"model", "scans"}) {
    sha256.push_back({{"name", what}, {"value", evaluation.at(std::string(what) + "_sha256").get<std::string>()}});
  }
  const bool has_strips = !shown.empty();
  write_file_atomically(folder / "page.css", page_style());
  write_file_atomically(
      folder / "index.html",
      page_of(Page::kWear, {{"title", options.title.empty() ? options.evaluation.filename().string() : options.title},
                            {"notes", notes_on(evaluation)},
                            {"figures", std::move(figures)},
                            {"parts", std::move(parts)},
                            {"has_strips", has_strips},
                            {"strips", std::move(shown)},
                            {"sha256", std::move(sha256)},
                            {"evaluation", fs::absolute(options.evaluation).lexically_normal().string()},
                            {"evaluation_sha256", sha256_of_file(options.evaluation)},
                            {"versions", options.versions}}));
}

/// SHA-256 of every file of the report by its path, and their bytes.
json digests_of_wear(const fs::path& folder, std::int64_t& bytes) {
  json files = json::object();
  for (const std::string& name : files_of_report(folder)) {
    files[name] = sha256_of_file(folder / name);
    bytes += static_cast<std::int64_t>(fs::file_size(folder / name));
  }
  return files;
}

}  // namespace

ReportSummary write_wear_report(const WearReportOptions& options, int ranks) {
  const std::string text = read_text_file(options.evaluation);
  const std::string is_not = options.evaluation.string() + ": is not an evaluation of `outsole evaluate wear`";
  const json checked = parse_json(text);
  if (!checked.is_object() || !checked.contains("by_weeks")) throw DataError(is_not);
  const ordered_json evaluation = ordered_json::parse(text);  // in the order of times and methods
  const std::vector<fs::path> strips = strips_in(options);
  ReportFolder folder(options.output, made_of_wear(options, strips));
  ReportSummary summary;
  summary.marks = std::ssize(strips);
  summary.was_finished = folder.is_finished();
  if (summary.was_finished) return summary;
  if (options.pictures.empty())
    summary.lacks.emplace_back("Strips: `evaluate wear --pictures DIR` draws them, and --wear-pictures shows them.");
  try {
    write_wear_pages(options, evaluation, strips, folder.part());
  } catch (const json::exception& error) {
    throw DataError(is_not + ": " + error.what());
  }
  const json files = digests_of_wear(folder.part(), summary.bytes);
  write_provenance(folder.part() / "report", options.command_line, ranks,
                   {{"strips", summary.marks}, {"versions", options.versions}});
  summary.files = std::ssize(files);
  summary.manifest_sha256 = folder.finish(files);
  return summary;
}

}  // namespace outsole::report
