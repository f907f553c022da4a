#pragma once
// SSIM and PSNR of a wear model and of the baselines by elapsed time: a self-contained SVG.

#include <nlohmann/json.hpp>
#include <string>

namespace outsole::report {

/// SVG text with a panel for each measure; of `evaluation`, what wear::evaluate_wear gives, or its part `clean`,
/// the bins of `by_weeks` that hold pairs. A mean that is not known leaves a gap. `title` may hold any bytes.
std::string quality_figure(const nlohmann::ordered_json& evaluation, const std::string& title);

/// "prediction, 120 held-out pairs, split by time": of the whole evaluation.
std::string quality_title(const nlohmann::ordered_json& evaluation);

}  // namespace outsole::report
