#include "evaluate_wear.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "machine/device.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/provenance.h"
#include "image/image.h"
#include "options.h"
#include "plan.h"
#include "wear/evaluate_wear.h"
#include "report/quality_figure.h"
#include "report/wear_strip.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

wear::EvaluateWearOptions parse(const po::variables_map& options, const JobContext& context) {
  for (const char* name : {"model", "scans", "output"}) {
    if (options.count(name) == 0) throw UsageError(std::string("evaluate wear needs --") + name);
  }
  wear::EvaluateWearOptions evaluate;
  evaluate.model = options["model"].as<std::string>();
  evaluate.scans = options["scans"].as<std::string>();
  if (options.count("clean") > 0) evaluate.clean = options["clean"].as<std::string>();
  evaluate.device = machine::choose_device(context.common.device, context.comm);
  evaluate.memory_bytes = static_cast<std::int64_t>(context.common.memory_gib * (std::int64_t{1} << 30));
  return evaluate;
}

/// "0.8123 +- 0.0341", or a dash where there is no mean.
std::string cell(const ordered_json& statistics, int decimals) {
  if (statistics["mean"].is_null()) return "-";
  char text[48];
  std::snprintf(text, sizeof text, "%.*f +- %.*f", decimals, statistics["mean"].get<double>(), decimals,
                statistics["std"].get<double>());
  return text;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  std::ranges::replace(text, '_', ' ');
  return text;
}

void print_part(const std::string& title, const ordered_json& part) {
  if (part["pairs"] == 0) return;
  std::printf("%s: %lld pairs\n", title.c_str(), part["pairs"].get<long long>());
  std::printf("  %-20s %18s %18s\n", "", "SSIM", "PSNR (dB)");
  for (const auto& [name, statistics] : part["ssim"].items()) {
    std::string label = name;
    std::ranges::replace(label, '_', ' ');
    std::printf("  %-20s %18s %18s\n", label.c_str(), cell(statistics, 4).c_str(),
                cell(part["psnr_db"][name], 2).c_str());
  }
  for (const auto& [key, measure] : {std::pair{"ssim", "SSIM"}, std::pair{"psnr_db", "PSNR"}}) {
    const std::string names = listed(wear::baselines_not_beaten(part[key]));
    if (names.empty()) {
      std::printf("  In %s the model is better than every baseline.\n", measure);
    } else {
      std::printf("  In %s the model is NOT better than: %s.\n", measure, names.c_str());
    }
  }
}

void print_parts(const ordered_json& json, const std::string& truth) {
  print_part("All held-out pairs" + truth, json);
  print_part("8 weeks and more" + truth, json["eight_weeks_and_more"]);
  if (!json.contains("trained_target_weeks")) return;
  print_part("Target weeks seen in training" + truth, json["trained_target_weeks"]);
  print_part("Target weeks never seen in training" + truth, json["unseen_target_weeks"]);
}

void print_tables(const ordered_json& json) {
  std::printf("%s, split by %s%s; mean +- standard deviation over pairs\n", json["task"].get<std::string>().c_str(),
              json["split"].get<std::string>().c_str(),
              json["trained_on_these_scans"].get<bool>() ? "" : ", on scans of another store");
  print_parts(json, "");
  if (json.contains("clean")) print_parts(json["clean"], ", against noise-free scans");
}

}  // namespace

void add_wear_options(po::options_description& options) {
  options.add_options()                                                                                  //
      ("model", po::value<std::string>()->value_name("model.h5"), "wear: the model, as train wrote it")  //
      ("scans", po::value<std::string>()->value_name("NAME.h5"),
       "wear: the prepared scans it was trained on; of others every pair counts as held out")  //
      ("clean", po::value<std::string>()->value_name("DIR"),
       "wear: noise-free scans to compare with as well, ID.png or ID.tif in the scan's size and pose")  //
      ("pictures", po::value<std::string>()->value_name("DIR"),
       "wear: picture each held-out target, ID.png: its most distant input, the truth, and every answer");
}

void evaluate_wear(const po::variables_map& options, const JobContext& context) {
  wear::EvaluateWearOptions evaluate;
  context.comm.together([&] { evaluate = parse(options, context); });
  if (context.common.plan) {
    return print_plan(context, [&] { return wear::wear_evaluation_plan(context.comm, evaluate); });
  }
  if (options.count("pictures") > 0) {
    const fs::path folder = options["pictures"].as<std::string>();
    context.comm.together([&] { create_folder(folder); });
    evaluate.on_target = [folder](const wear::JudgedPair& judged) {
      image::write_image(folder / fs::path(judged.target.id + ".png").filename(), report::judged_picture(judged));
    };
  }
  const ordered_json json = wear::evaluate_wear(evaluate, context.comm);
  context.comm.together([&] {
    if (!context.comm.is_root()) return;
    const fs::path output = options["output"].as<std::string>();
    write_file_atomically(output, json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
    if (options.count("figure") > 0) {
      write_file_atomically(options["figure"].as<std::string>(), report::quality_figure(json, report::quality_title(json)));
    }
    write_provenance(output, context.command_line, context.comm.size(),
                     {{"model_sha256", json["model_sha256"]}, {"scans_sha256", json["scans_sha256"]}});
    print_tables(json);
  });
}

}  // namespace outsole::jobs
