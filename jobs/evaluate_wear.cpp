#include "evaluate_wear.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

#include "core/files.h"
#include "core/provenance.h"
#include "image/image.h"
#include "machine/device.h"
#include "other_run.h"
#include "plan.h"
#include "report/quality_figure.h"
#include "report/wear_strip.h"

namespace outsole::jobs {

namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// "0.8123 +- 0.0341", or a dash where there is no mean.
std::string cell(const ordered_json& statistics, int decimals) {
  if (statistics["mean"].is_null()) return "-";
  return fmt::format("{:.{}f} +- {:.{}f}", statistics["mean"].get<double>(), decimals, statistics["std"].get<double>(),
                     decimals);
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  std::ranges::replace(text, '_', ' ');
  return text;
}

std::string part_text(const std::string& title, const ordered_json& part) {
  if (part["pairs"] == 0) return "";
  std::string text = fmt::format("{}: {} pairs\n", title, part["pairs"].get<std::int64_t>());
  text += fmt::format("  {:<20} {:>18} {:>18}\n", "", "SSIM", "PSNR (dB)");
  for (const auto& [name, statistics] : part["ssim"].items()) {
    std::string label = name;
    std::ranges::replace(label, '_', ' ');
    text += fmt::format("  {:<20} {:>18} {:>18}\n", label, cell(statistics, 4), cell(part["psnr_db"][name], 2));
  }
  for (const auto& [key, measure] : {std::pair{"ssim", "SSIM"}, std::pair{"psnr_db", "PSNR"}}) {
    const std::string names = listed(wear::baselines_not_beaten(part[key]));
    text += names.empty() ? fmt::format("  In {} the model is better than every baseline.\n", measure)
                          : fmt::format("  In {} the model is NOT better than: {}.\n", measure, names);
  }
  return text;
}

std::string parts_text(const ordered_json& json, const std::string& truth) {
  std::string text = part_text("All held-out pairs" + truth, json);
  text += part_text("8 weeks and more" + truth, json["eight_weeks_and_more"]);
  if (!json.contains("trained_target_weeks")) return text;
  text += part_text("Target weeks seen in training" + truth, json["trained_target_weeks"]);
  return text + part_text("Target weeks never seen in training" + truth, json["unseen_target_weeks"]);
}

std::string tables(const ordered_json& json) {
  std::string text = fmt::format("{}, split by {}{}; mean +- standard deviation over pairs\n",
                                 json["task"].get<std::string>(), json["split"].get<std::string>(),
                                 json["trained_on_these_scans"].get<bool>() ? "" : ", on scans of another store");
  text += parts_text(json, "");
  if (json.contains("clean")) text += parts_text(json["clean"], ", against noise-free scans");
  return text;
}

}  // namespace

void declare_wear(WearEvaluation& own, Options& options) {
  options.add("model", "model.h5", own.evaluate.model, "wear: the model, as train wrote it")
      .only_with("what", {"wear"})
      .required();
  options
      .add("scans", "NAME.h5", own.evaluate.scans,
           "wear: the prepared scans it was trained on; of others every pair counts as held out")
      .only_with("what", {"wear"})
      .required();
  options
      .add("clean", "DIR", own.evaluate.clean,
           "wear: noise-free scans to compare with as well, ID.png or ID.tif in the scan's size and pose")
      .only_with("what", {"wear"});
  options
      .add("split-ranks", "K", own.evaluate.split_ranks,
           "wear: K ranks hold an image together, each a slab of its rows: for models that one rank cannot hold")
      .at_least(1)
      .only_with("what", {"wear"});
  options
      .add_switch("recent-trend", own.evaluate.recent_trend,
                  "wear: judge one more answer, half the trend of the shoe's own training scans nearest to the target")
      .only_with("what", {"wear"});
  options
      .add("pictures", "DIR", own.pictures,
           "wear: picture each held-out target, ID.png: its most distant input, the truth, and every answer")
      .only_with("what", {"wear"});
}

Report evaluate_wear(const WearEvaluation& own, const fs::path& output, const std::optional<fs::path>& figure,
                     const JobContext& context) {
  wear::EvaluateWearOptions evaluate = own.evaluate;
  evaluate.memory_bytes = context.memory_bytes();
  context.comm.together([&] { evaluate.device = machine::choose_device(context.common.device, context.comm); });
  if (context.common.plan) return plan_report(wear::wear_evaluation_plan(context.comm, evaluate), context);
  if (own.pictures) {
    context.comm.together([&] { create_folder(*own.pictures); });
    evaluate.on_target = [folder = *own.pictures](const wear::JudgedPair& judged) {
      image::write_image(folder / fs::path(judged.target.id + ".png").filename(), report::judged_picture(judged));
    };
  }
  const ordered_json json = wear::evaluate_wear(evaluate, context.comm);
  const nlohmann::json inputs{{"model_sha256", json["model_sha256"]}, {"scans_sha256", json["scans_sha256"]}};
  return [=] {
    refuse_other_run(output, inputs);
    write_file_atomically(output, json.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
    if (figure) write_file_atomically(*figure, report::quality_figure(json, report::quality_title(json)));
    write_provenance(output, context.command_line, context.comm.size(), inputs);
    return tables(json);
  };
}

}  // namespace outsole::jobs
