#include "wear/time_encoding.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"

namespace outsole::wear {

namespace {
constexpr double kWeeksPerSlot = 2;
}

std::string name_of(Task task) { return task == Task::kPrediction ? "prediction" : "reconstruction"; }

Task parse_task(const std::string& text) {
  for (const Task task : {Task::kPrediction, Task::kReconstruction}) {
    if (text == name_of(task)) return task;
  }
  throw UsageError("no task '" + text + "': prediction (what will it look like) or reconstruction (what did it)");
}

std::int64_t time_inputs(Task task) { return task == Task::kPrediction ? 1 : kWeekSlots; }

std::int64_t slot_of_week(double week) {
  if (!(week >= 0 && week <= kLastReconstructedWeek)) {
    throw UsageError("no reconstruction of week " + std::to_string(week) + ": weeks 0 to " +
                     std::to_string(static_cast<int>(kLastReconstructedWeek)) +
                     " since the first scan can be asked for");
  }
  return std::lround(week / kWeeksPerSlot);
}

void encode_time(Task task, double weeks, std::span<float> inputs) {
  if (std::ssize(inputs) != time_inputs(task)) throw Bug("encode_time: one number for each time input");
  if (task == Task::kReconstruction) {
    std::fill(inputs.begin(), inputs.end(), 0.0F);
    inputs[static_cast<std::size_t>(slot_of_week(weeks))] = 1;
    return;
  }
  if (!(weeks >= 0 && weeks <= kLongestWeeks)) {
    throw UsageError("no prediction over " + std::to_string(weeks) + " weeks: 0 to " +
                     std::to_string(static_cast<int>(kLongestWeeks)) + " can be asked for");
  }
  inputs[0] = static_cast<float>(weeks / kLongestWeeks);
}

}  // namespace outsole::wear
