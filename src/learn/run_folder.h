#pragma once
// RUN_DIR of a training: checkpoints/, history.csv and, at the end, model.h5. One rank writes it.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace outsole::learn {

std::filesystem::path model_path(const std::filesystem::path& run);
std::filesystem::path history_path(const std::filesystem::path& run);

/// RUN/checkpoints/epoch_000120_step_00003.h5: after so many epochs and steps of the next one.
std::filesystem::path checkpoint_path(const std::filesystem::path& run, std::int64_t epoch, std::int64_t step);

/// The checkpoints by what their names say, newest first; whether they can be read is not known. Throws
/// EnvironmentError when the folder cannot be read.
std::vector<std::filesystem::path> list_checkpoints(const std::filesystem::path& run);

/// Removes all but `newest`, which was just written, and the `kept` - 1 before it. Those that claim to be newer go too:
/// training started from before them, so they could not be read.
void remove_old_checkpoints(const std::filesystem::path& run, const std::filesystem::path& newest, std::int64_t kept);

/// Removes what a job that died while it wrote the model or a checkpoint, or removed one, left half-done.
void remove_leftovers(const std::filesystem::path& run);

/// A line of history.csv. Where training ended within an epoch the last line tells of the part that was done, until
/// training goes on.
struct EpochRecord {
  std::int64_t epoch = 0;               // done with this one
  std::int64_t steps = 0;               // in all
  double loss = 0;                      // mean over the epoch
  std::optional<double> held_out_loss;  // the same of what is held out, where it was looked at
  double seconds = 0;                   // trained, over all runs
  double examples_per_second = 0;       // of this epoch
};

/// Adds a line in one write; the first one brings the header, which says what the examples are ("pairs"). Throws
/// EnvironmentError.
void append_history(const std::filesystem::path& path, const EpochRecord& record, const std::string& examples);

/// Drops the lines of epochs after `epochs`, which a run wrote before it died and will write again, and a line that was
/// cut off. Throws EnvironmentError or DataError.
void truncate_history(const std::filesystem::path& path, std::int64_t epochs);

}  // namespace outsole::learn
