#include "report/list_page.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <map>

#include "core/files.h"
#include "core/json.h"
#include "core/provenance.h"
#include "report/evaluation_page.h"
#include "report/page_text.h"
#include "report/score_context.h"

namespace outsole::report {

namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// --- The list -------------------------------------------------------------------------------------------------------

/// Where the mark's first true exemplar stands: by all scores where there are any, of equal ones the last; else in its
/// list. 0: beyond its list.
std::int64_t place_of_true(const PageInputs& inputs, const std::vector<std::int64_t>& true_exemplars, std::int64_t row,
                           const std::vector<float>& scores) {
  if (!scores.empty()) {
    double best = -std::numeric_limits<double>::infinity();
    for (const std::int64_t exemplar : true_exemplars)
      best = std::max(best, static_cast<double>(scores[static_cast<std::size_t>(exemplar)]));
    return place_among(scores, best);
  }
  std::int64_t place = 0;
  for (const ListEntry& entry : inputs.lists.head(static_cast<std::size_t>(row), inputs.lists.length)) {
    ++place;
    if (std::ranges::binary_search(true_exemplars, entry.exemplar)) return place;
  }
  return 0;
}

void add_truth(const PageInputs& inputs, std::int64_t row, const std::vector<float>& scores, json& facts) {
  facts["true_at"] = facts["true_sort"] = "";
  facts["true_first"] = facts["true_missed"] = false;
  if (!inputs.truth) return;
  const auto& true_exemplars = inputs.truth->exemplars[static_cast<std::size_t>(row)];
  if (true_exemplars.empty()) return;
  const std::int64_t place = place_of_true(inputs, true_exemplars, row, scores);
  facts["true_at"] = place > 0 ? std::to_string(place) : fmt::format("beyond {}", inputs.lists.length);
  facts["true_sort"] = std::to_string(place > 0 ? place : inputs.lists.length + 1);
  facts["true_first"] = place == 1;
  facts["true_missed"] = place != 1;
}

/// Pictures of the first marks are there at once; those of others are put in by the script as they come into view,
/// because asking for thousands of them keeps a browser busy.
constexpr std::int64_t kEarlyPictures = 40;

json facts_of_row(const PageInputs& inputs, std::int64_t row, const fs::path& folder) {
  const std::vector<ListEntry> list = inputs.list(row);
  const std::vector<float> scores = inputs.scores(row);
  const std::string name = page_name(row + 1);
  const bool has_thumb = fs::exists(folder / "pictures" / name / "thumb.jpg");
  json facts = {{"id", inputs.lists.mark_ids[static_cast<std::size_t>(row)]},
                {"number", row + 1},
                {"name", name},
                {"early", row < kEarlyPictures},
                {"thumb", has_thumb},
                {"lacks_picture", !has_thumb},
                {"candidates", list.size()},
                {"best_id", ""},
                {"best_thumb", false},
                {"score", ""},
                {"margin", ""},
                {"stands", ""}};
  add_truth(inputs, row, scores, facts);
  if (list.empty()) return facts;
  const auto best = static_cast<std::size_t>(list[0].exemplar);
  facts["best_id"] = inputs.lists.exemplar_ids[best];
  facts["best_name"] = page_name(list[0].exemplar);
  facts["best_thumb"] = inputs.places[best] >= 0;
  facts["score"] = fmt::format("{:.4f}", list[0].score);
  if (list.size() > 1) facts["margin"] = fmt::format("{:.4f}", list[0].score - list[1].score);
  if (const auto spreads = spreads_above(retrieval::level_of(scores), list[0].score)) {
    facts["stands"] = fmt::format("{:.1f}", *spreads);
  }
  return facts;
}

// --- An evaluation, if one was given --------------------------------------------------------------------------------

json evaluation_facts(const json& evaluation) {
  if (evaluation.is_null()) return nullptr;
  const auto count = [&](const char* key) {
    return evaluation.contains(key) && evaluation[key].is_number() ? evaluation[key].dump() : "?";
  };
  return {
      {"text", "Measured on " + count("marks") + " marks whose true exemplars are known, among " + count("exemplars") +
                   " exemplars. This says how often the method ranks the true exemplar high, "
                   "not how probable it is that a candidate of one mark is the true one."},
      {"rows", shares_found(evaluation)}};
}

// --- Provenance -----------------------------------------------------------------------------------------------------

json named(const std::string& name, const std::string& value, bool is_code = false) {
  return {{"name", name}, {"value", value}, {"code", is_code}};
}

std::string shell_words(const json& words) {
  std::string line;
  for (const json& word : words) {
    std::string text = word.is_string() ? word.get<std::string>() : word.dump();
    const bool is_plain = !text.empty() && text.find_first_of(" \t\n\"'`$&|;<>()*?[]#~\\!{}") == std::string::npos;
    if (!is_plain) {
      std::string quoted = "'";
      for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
      text = quoted + "'";
    }
    line += (line.empty() ? "" : " ") + text;
  }
  return line;
}

/// The record beside a store; null where there is none, or it is no JSON.
json record_of(const fs::path& store) {
  std::error_code ignored;
  const fs::path path = provenance_path(store);
  if (!fs::exists(path, ignored)) return nullptr;
  const json record = parse_json(read_text_file(path));
  return record.is_object() ? record : json();
}

std::string text_at(const json& record, const char* key) {
  return record.contains(key) && record[key].is_string() ? record[key].get<std::string>() : "";
}

/// What was made when, where and by what.
void add_record(const json& record, json& facts) {
  if (record.is_null()) {
    facts.push_back(named("Record", "there is none beside it: when and by which command it was made is not known"));
    return;
  }
  if (record.contains("command_line") && record["command_line"].is_array())
    facts.push_back(named("Command", shell_words(record["command_line"]), true));
  std::string made = text_at(record, "time_utc");
  if (const std::string host = text_at(record, "host"); !host.empty()) made += " on " + host;
  if (record.contains("ranks") && record["ranks"].is_number())
    made += fmt::format(", {} rank(s)", record["ranks"].dump());
  if (const std::string version = text_at(record, "outsole"); !version.empty()) made += ", outsole " + version;
  facts.push_back(named("Made", made));
}

std::string absolute_of(const fs::path& path) { return fs::absolute(path).lexically_normal().string(); }

json input_of(const std::string& what, const fs::path& path, const std::string& sha256,
              const store::StoreHeader* header) {
  json facts = json::array();
  facts.push_back(named("File", absolute_of(path), true));
  facts.push_back(named("SHA-256", sha256, true));
  if (header == nullptr) return {{"what", what}, {"facts", facts}};
  facts.push_back(named("Layout", fmt::format("{}, version {}", header->schema, header->version)));
  add_record(record_of(path), facts);
  for (const auto& [name, value] : header->parameters.items()) {
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    constexpr std::size_t kShown = 200;
    if (text.size() > kShown) text = text.substr(0, kShown) + " ...";
    if (!text.empty()) facts.push_back(named(name, text, true));
  }
  return {{"what", what}, {"facts", facts}};
}

json inputs_in_facts(const PageInputs& inputs) {
  const ReportOptions& options = inputs.options;
  json all = json::array();
  all.push_back(input_of(inputs.results.is_finished() ? "Search results" : "Search results, as far as they are there",
                         options.results, inputs.results.sha256(), &inputs.results.header()));
  const auto numbered = [](const char* what, std::size_t i, std::size_t of) {
    return of == 1 ? what : fmt::format("{}, {} of {}", what, i + 1, of);
  };
  for (std::size_t i = 0; i < inputs.indexes.size(); ++i) {
    const store::StoreHeader header = inputs.indexes[i].header();
    all.push_back(
        input_of(numbered("Index", i, inputs.indexes.size()), options.indexes[i], inputs.index_sha256[i], &header));
  }
  const std::vector<ingest::ExemplarStore>& exemplars = inputs.exemplars.stores();
  for (std::size_t i = 0; i < exemplars.size(); ++i) {
    const store::Store& store = exemplars[i].store();
    all.push_back(
        input_of(numbered("Exemplars", i, exemplars.size()), options.exemplars[i], store.sha256(), &store.header()));
  }
  const json made = made_of(inputs);
  for (const auto& [key, what] :
       {std::pair{"labels", "Labels: the true exemplars"}, std::pair{"groups", "Groups: exemplars of the same tread"},
        std::pair{"evaluation", "Evaluation"}}) {
    if (made.contains(key))
      all.push_back(input_of(what, made[key]["path"].get<std::string>(), made[key]["sha256"], nullptr));
  }
  return all;
}

/// What a job was pointed at and did not use, from its record.
void add_left_out(const std::string& job, const json& record, json& left_out) {
  if (!record.is_object() || !record.contains("details") || !record["details"].is_object()) return;
  const json& details = record["details"];
  if (details.contains("skipped") && details["skipped"].is_array()) {
    for (const json& reason : details["skipped"]) {
      left_out.push_back(job + ", left out: " + (reason.is_string() ? reason.get<std::string>() : reason.dump()));
    }
  }
  const json::json_pointer not_read("/account/not_read");
  if (!details.contains(not_read) || !details.at(not_read).is_array()) return;
  std::map<std::string, std::vector<std::string>> files_of_reason;
  for (const json& entry : details.at(not_read)) {
    if (entry.is_object())
      files_of_reason[text_at(entry, "reason")].push_back(fs::path(text_at(entry, "path")).filename().string());
  }
  for (const auto& [reason, files] : files_of_reason) {
    constexpr std::size_t kNamed = 12;
    std::string names;
    for (std::size_t i = 0; i < std::min(kNamed, files.size()); ++i) names += (i > 0 ? ", " : "") + files[i];
    left_out.push_back(fmt::format("{}, {} not read ({}): {}{}", job, files.size(), reason, names,
                                   files.size() > kNamed ? ", ..." : ""));
  }
}

json left_out_facts(const PageInputs& inputs) {
  json left_out = json::array();
  add_left_out("Search", record_of(inputs.options.results), left_out);
  for (const fs::path& exemplars : inputs.options.exemplars) add_left_out("Exemplars", record_of(exemplars), left_out);
  if (const auto coarse = inputs.parameters().value("coarse", std::int64_t{0}); coarse > 0) {
    left_out.push_back(
        fmt::format("Search: after a first pass over a coarse grid only the best {} exemplars of each "
                    "mark were searched in full; the others have no score.",
                    coarse));
  }
  if (inputs.options.candidates < inputs.lists.length) {
    left_out.push_back(fmt::format("Report: of {} candidates that the results keep of each mark, {} are shown.",
                                   inputs.lists.length, inputs.options.candidates));
  }
  if (left_out.empty()) left_out.push_back("Nothing that the records tell of.");
  return left_out;
}

json unfinished_facts(const PageInputs& inputs) {
  if (inputs.results.is_finished()) return nullptr;
  const auto total = inputs.parameters().value("marks", inputs.marks());
  return {{"done", inputs.marks()},
          {"total", total},
          {"text", fmt::format("{} of {} marks are there; make the report again for more.", inputs.marks(), total)}};
}

std::string angles_in_words(const json& parameters) {
  if (!parameters.contains("angles_deg") || !parameters["angles_deg"].is_array() || parameters["angles_deg"].empty())
    return "rotations that its results do not tell";
  const auto angles = parameters["angles_deg"].get<std::vector<double>>();
  if (angles.size() == 1) return fmt::format("one rotation of {:g}°", angles[0]);
  return fmt::format("{} rotations from {:g}° to {:g}°", angles.size(), angles.front(), angles.back());
}

std::string similarity_in_words(const std::string& name) {
  if (name == "mu_c,sigma_c") {
    return "multi-channel normalized cross-correlation (MCNCC): in each channel of the features, both images are "
           "centred and divided by their standard deviation over the compared part alone, multiplied, and averaged "
           "over its cells and over channels. It lies between -1 and 1";
  }
  if (name == "euclidean") return "minus the mean squared distance of the features";
  return "the similarity [" + name + "] of the features (what is subtracted, what is divided by)";
}

/// What was made one of several searches (retrieval/fuse_results.h), and in what these differ.
std::string fusion_in_words(const json& parameters) {
  std::string words = fmt::format(
      "{} searches were made one: an exemplar's score is the weighted mean of {}; its pose is that of the search which "
      "puts it highest. Where they differ (`share` is how much each counts):",
      parameters["fused"].size(),
      parameters.value("fused_by", "level") == "score"
          ? "its scores in them"
          : "how far its scores lie above the medians of the mark's scores, in the robust spreads of these");
  for (const json& search : parameters["fused"])
    words += " " + search.dump(-1, ' ', false, json::error_handler_t::replace);
  return words + ".";
}

}  // namespace

std::vector<std::string> protocol_in_words(const json& parameters,
                                           const std::optional<retrieval::IndexParameters>& index) {
  std::vector<std::string> words;
  std::string first = "Every mark was compared with every exemplar ";
  if (parameters.value("as_they_lie", false)) {
    first += "as the two lie, at one pose.";
  } else {
    const std::string step = parameters.contains("stride_px") || !parameters.contains("fused")
                                 ? fmt::format(" of {} px at the search scale", parameters.value("stride_px", 2))
                                 : "";
    first += fmt::format(
        "at {} and at every translation on a grid{}. The mark is what is "
        "turned, and its features are computed anew for every rotation; an exemplar's score is that "
        "of its best pose.",
        angles_in_words(parameters), step);
  }
  if (index) {
    first += fmt::format(" Features: {}; images at {:g} times the exemplars' resolution{}.", index->extractor_kind,
                         index->image_scale,
                         index->exemplar_dpi > 0 ? fmt::format(" ({:.4g} dpi)", index->exemplar_dpi) : "");
  }
  words.push_back(first);
  const bool is_fused = parameters.contains("fused") && parameters["fused"].is_array();
  if (is_fused) words.push_back(fusion_in_words(parameters));
  const std::string similarity = parameters.value("similarity", is_fused ? "" : "mu_c,sigma_c");
  words.push_back("Compared are features by " +
                  (similarity.empty() ? "each search's similarity" : similarity_in_words(similarity)) +
                  ". Only the part of the exemplar that lies under the mark counts, less a margin at the mark's edge." +
                  (parameters.contains("metric_sha256")
                       ? " Channels were weighed, or projected, as a learned metric says (SHA-256 " +
                             parameters["metric_sha256"].dump() + ")."
                       : ""));
  words.push_back("Of equal scores the exemplar of the lower number comes first. The arithmetic was " +
                  parameters.value("arithmetic", "not told by the results") +
                  "; on another type of processor scores agree to 1e-5 (1e-3 with an index of 16 bits).");
  words.emplace_back(
      "Source: B. Kong, J. Supančič, D. Ramanan, C. Fowlkes, Cross-Domain Image Matching with Deep Feature Maps, "
      "International Journal of Computer Vision 127 (2019).");
  return words;
}

std::string list_page(const PageInputs& inputs, const fs::path& folder) {
  json marks = json::array();
  for (std::int64_t row = 0; row < inputs.marks(); ++row) marks.push_back(facts_of_row(inputs, row, folder));
  json facts = {
      {"title", inputs.options.title.empty() ? inputs.options.results.filename().string() : inputs.options.title},
      {"report", inputs.results.sha256().substr(0, 16)},
      {"summary", fmt::format("{} {} against {} exemplars", inputs.marks(), inputs.marks() == 1 ? "mark" : "marks",
                              inputs.lists.exemplar_ids.size())},
      {"count", inputs.marks()},
      {"unfinished", unfinished_facts(inputs)},
      {"lacks", inputs.lacks},
      {"has_lacks", !inputs.lacks.empty()},
      {"has_labels", inputs.truth.has_value()},
      {"evaluation", evaluation_facts(inputs.evaluation)},
      {"marks", std::move(marks)},
      {"protocol", protocol_in_words(inputs.parameters(), inputs.index)},
      {"reading",
       {"A score says how alike the features of a mark and an exemplar are at their best pose. It is no "
        "probability, and its size depends on the mark: small or unclear marks score high with many outsoles.",
        "The margin is what lies between a candidate and the next. \"Stands out\" tells how far a score lies "
        "above the median of all exemplars of the same mark, in robust standard deviations (1.4826 times the "
        "median distance from the median): what is usual for exemplars that have nothing to do with the mark "
        "is within two or three.",
        "Candidates are proposals for an examiner to compare. Whether a shoe left a mark is judged by "
        "features of wear and damage that this search does not weigh."}},
      {"inputs", inputs_in_facts(inputs)},
      {"left_out", left_out_facts(inputs)},
      {"command", shell_words(inputs.options.command_line)},
      {"versions", inputs.options.versions}};
  return page_of(Page::kList, facts);
}

}  // namespace outsole::report
