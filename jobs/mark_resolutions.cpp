#include "mark_resolutions.h"

#include <spdlog/fmt/fmt.h>

#include <algorithm>

namespace outsole::jobs {

namespace {

/// The first few; provenance names all.
std::string first_of(const std::vector<std::string>& kinds) {
  constexpr std::size_t kNamed = 8;
  std::string text;
  for (std::size_t i = 0; i < std::min(kNamed, kinds.size()); ++i) text += (i > 0 ? ", " : "") + kinds[i];
  return text + (kinds.size() > kNamed ? ", ..." : "");
}

}  // namespace

std::string resolutions_text(double exemplar_dpi, const std::vector<retrieval::MarkResolution>& resolutions) {
  std::int64_t scaled = 0, unknown = 0, known = 0;
  std::vector<std::string> told, factors;
  for (const auto& [dpi, factor, marks] : resolutions) {
    (dpi > 0 ? known : unknown) += marks;
    if (dpi > 0) told.push_back(fmt::format("{} of {:g} dpi", marks, dpi));
    if (factor == 1) continue;
    scaled += marks;
    factors.push_back(fmt::format("{} of {:g} dpi by {:.4g}", marks, dpi, factor));
  }
  if (resolutions.empty()) return "";  // results of a version that did not keep them
  if (exemplar_dpi == 0 && known == 0) {
    return "resolution: known neither of exemplars nor of marks; their pixels are taken to be of one size\n";
  }
  if (exemplar_dpi == 0) {
    return fmt::format(
        "resolution: of the exemplars not known, so no mark was scaled, though {} say theirs ({}); `outsole index "
        "--exemplar-dpi` tells it\n",
        known, first_of(told));
  }
  std::string text;
  if (scaled > 0) {
    text += fmt::format("resolution: {} marks scaled to the exemplars' {:g} dpi: {}\n", scaled, exemplar_dpi,
                        first_of(factors));
  }
  if (unknown > 0) {
    text += fmt::format(
        "resolution: {} marks do not say theirs and are taken to have the exemplars' {:g} dpi; "
        "--mark-dpi tells it\n",
        unknown, exemplar_dpi);
  }
  return text;
}

}  // namespace outsole::jobs
