#include "mark_summary.h"

#include <spdlog/fmt/fmt.h>

namespace outsole::jobs {

std::string marks_text(const retrieval::MarkAccount& account) {
  std::string text;
  const auto shares = [](double least, double most) {
    return least == most ? fmt::format("{:.1f}%", 100 * least)
                         : fmt::format("{:.1f} to {:.1f}%", 100 * least, 100 * most);
  };
  if (account.masked > 0) {
    text += fmt::format("masks: of {} of {} marks; {} of the picture count, and marks are cropped to that\n",
                        account.masked, account.marks, shares(account.least_share, account.most_share));
  }
  if (account.shrunk > 0) {
    text += fmt::format(
        "frame: {} of {} marks were larger than the exemplars' frame and shrunk to fit it, to {:.1f}% of their size at "
        "the least; --fit-frame no searches none so\n",
        account.shrunk, account.marks, 100 * account.least_shrink);
  }
  for (const auto& [angle_deg, marks] : account.at_rim) {
    text += fmt::format(
        "angles: the first candidate of {} of {} marks lies at {:g} degrees, an end of those searched: widen "
        "--angles-deg\n",
        marks, account.marks, angle_deg);
  }
  return text;
}

}  // namespace outsole::jobs
