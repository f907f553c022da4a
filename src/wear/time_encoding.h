#pragma once
// How the network is told the time: the two tasks of the wear models.

#include <cstdint>
#include <span>
#include <string>

namespace outsole::wear {

/// What a wear model is asked. Prediction (forward): what will this outsole look like so many weeks later?
/// Reconstruction (backward): what did it look like in a given week, counted from its first scan?
enum class Task { kPrediction, kReconstruction };

std::string name_of(Task task);

/// "prediction" or "reconstruction"; throws UsageError naming both for another word.
Task parse_task(const std::string& text);

inline constexpr double kLongestWeeks = 52;     // a prediction's longest time
inline constexpr std::int64_t kWeekSlots = 52;  // of a reconstruction's one-hot vector; a year of fortnights uses 27
inline constexpr double kLastReconstructedWeek = 2.0 * (kWeekSlots - 1);  // a slot is a fortnight

/// Numbers of the time input: 1 for prediction, kWeekSlots for reconstruction.
std::int64_t time_inputs(Task task);

/// The slot of a reconstruction's target week: the nearest fortnight. Throws UsageError for a week below 0 or beyond
/// the last slot.
std::int64_t slot_of_week(double week);

/// Writes the time input of one pair. Prediction: `weeks` between input and target, over kLongestWeeks. Reconstruction:
/// 1 in the slot of the target's week `weeks`, 0 elsewhere. Throws UsageError when the task does not reach that time.
void encode_time(Task task, double weeks, std::span<float> inputs);

}  // namespace outsole::wear
