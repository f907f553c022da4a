#include "learn/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/errors.h"

namespace outsole::learn {

std::string name_of(Schedule schedule) { return schedule == Schedule::kConstant ? "constant" : "cosine"; }

Schedule parse_schedule(const std::string& text) {
  for (const Schedule schedule : {Schedule::kConstant, Schedule::kCosine}) {
    if (text == name_of(schedule)) return schedule;
  }
  throw UsageError("no schedule '" + text + "': constant, or cosine (a rise, then down to nothing at the last epoch)");
}

double learning_rate_share(Schedule schedule, std::int64_t step, std::int64_t steps) {
  if (schedule == Schedule::kConstant) return 1;
  // Adam's second moments know little in its first steps; a rise keeps it from going astray there.
  constexpr std::int64_t kMostRisingSteps = 100;
  const auto rising = static_cast<double>(std::clamp<std::int64_t>(steps / 20, 1, kMostRisingSteps));
  const double rise = std::min(1.0, static_cast<double>(step + 1) / rising);
  const double way = static_cast<double>(step) / static_cast<double>(steps);
  return rise * 0.5 * (1 + std::cos(std::numbers::pi * std::min(way, 1.0)));
}

}  // namespace outsole::learn
