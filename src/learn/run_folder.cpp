#include "learn/run_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

#include "core/errors.h"
#include "core/files.h"
#include "learn/tensor_file.h"

namespace outsole::learn {

namespace fs = std::filesystem;

namespace {

constexpr char kHistoryHeader[] = "epoch,steps,loss,held_out_loss,seconds,";

/// Epoch and step that a checkpoint's name says, or nothing when it is no checkpoint's.
std::optional<std::pair<std::int64_t, std::int64_t>> position_of(const fs::path& path) {
  long long epoch = -1, step = -1;
  if (std::sscanf(path.filename().c_str(), "epoch_%lld_step_%lld.h5", &epoch, &step) != 2 || epoch < 0 || step < 0) {
    return std::nullopt;
  }
  const bool is_exact = path.filename() == checkpoint_path("", epoch, step).filename();
  return is_exact ? std::optional(std::pair<std::int64_t, std::int64_t>(epoch, step)) : std::nullopt;
}

std::string line_of(const EpochRecord& record) {
  const auto number = [](const char* format, double value) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), format, value);
    return std::string(text.data());
  };
  return std::to_string(record.epoch) + "," + std::to_string(record.steps) + "," + number("%.9g", record.loss) + "," +
         (record.held_out_loss ? number("%.9g", *record.held_out_loss) : "") + "," + number("%.3f", record.seconds) +
         "," + number("%.2f", record.examples_per_second) + "\n";
}

[[noreturn]] void fail_to_write(const fs::path& path) {
  throw EnvironmentError(path.string() + ": cannot be written: " + std::strerror(errno));
}

}  // namespace

fs::path model_path(const fs::path& run) { return run / "model.h5"; }

fs::path history_path(const fs::path& run) { return run / "history.csv"; }

fs::path checkpoint_path(const fs::path& run, std::int64_t epoch, std::int64_t step) {
  std::array<char, 64> name{};
  std::snprintf(name.data(), name.size(), "epoch_%06lld_step_%05lld.h5", static_cast<long long>(epoch),
                static_cast<long long>(step));
  return run / "checkpoints" / name.data();
}

std::vector<fs::path> list_checkpoints(const fs::path& run) {
  const fs::path folder = run / "checkpoints";
  std::vector<fs::path> checkpoints;
  try {
    if (!fs::exists(folder)) return {};
    for (const auto& file : fs::directory_iterator(folder)) {
      if (position_of(file.path())) checkpoints.push_back(file.path());
    }
  } catch (const fs::filesystem_error& error) {
    throw EnvironmentError(folder.string() + ": cannot be read: " + error.what());
  }
  std::ranges::sort(checkpoints, std::greater(), position_of);
  return checkpoints;
}

void remove_old_checkpoints(const fs::path& run, const fs::path& newest, std::int64_t kept) {
  const auto position = position_of(newest);
  std::int64_t earlier = 0;
  for (const fs::path& checkpoint : list_checkpoints(run)) {
    if (checkpoint == newest) continue;
    if (position_of(checkpoint) > position || ++earlier >= kept) remove_tensor_store(checkpoint);
  }
}

void remove_leftovers(const fs::path& run) try {
  std::vector<fs::path> leftovers;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints")) {
    const fs::path checkpoint = fs::path(entry.path()).replace_extension(".h5");
    const bool is_orphan = entry.path().extension() == ".shards" && !fs::exists(checkpoint);
    if (position_of(checkpoint) && (is_orphan || entry.path().extension() == ".part"))
      leftovers.push_back(entry.path());
  }
  leftovers.push_back(model_path(run).replace_extension(".part"));
  for (const fs::path& leftover : leftovers) fs::remove_all(leftover);
} catch (const fs::filesystem_error& error) {
  throw EnvironmentError((run / "checkpoints").string() + ": cannot be cleared: " + error.what());
}

void append_history(const fs::path& path, const EpochRecord& record, const std::string& examples) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file < 0) fail_to_write(path);
  const bool is_new = ::lseek(file, 0, SEEK_END) == 0;
  const std::string text = (is_new ? kHistoryHeader + examples + "_per_second\n" : "") + line_of(record);
  const bool written = ::write(file, text.data(), text.size()) == std::ssize(text);
  const int reason = errno;
  ::close(file);
  errno = reason;
  if (!written) fail_to_write(path);
}

void truncate_history(const fs::path& path, std::int64_t epochs) {
  if (!fs::exists(path)) return;
  const std::string text = read_text_file(path);
  std::size_t begin = text.find('\n') + 1;
  std::string kept = text.substr(0, begin);
  for (std::size_t end; begin > 0 && (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const std::string line = text.substr(begin, end + 1 - begin);
    if (std::strtoll(line.c_str(), nullptr, 10) <= epochs) kept += line;
  }
  if (kept != text) write_file_atomically(path, kept);
}

}  // namespace outsole::learn
