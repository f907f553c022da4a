#include "core/status.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/errors.h"
#include "core/files.h"
#include "core/host.h"

namespace outsole {

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr auto kInterval = std::chrono::seconds(5);

struct Kept {
  fs::path path;
  std::string job, started_utc;
  std::optional<Clock::time_point> last_write;
  std::string last_phase;
};

std::optional<Kept> kept;

void write(const Status& status) {
  nlohmann::ordered_json json = {{"job", kept->job},
                                 {"phase", status.phase},
                                 {"unit", status.unit},
                                 {"done", status.done},
                                 {"total", status.total},
                                 {"seconds_left", nullptr},
                                 {"started_utc", kept->started_utc},
                                 {"updated_utc", utc_now()},
                                 {"host", host_name()},
                                 {"process", getpid()}};
  if (status.seconds_left >= 0) json["seconds_left"] = std::llround(status.seconds_left);
  write_file_atomically(kept->path, json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace

StatusFile::StatusFile(const fs::path& output, std::string job) {
  ensure(!kept, "a process keeps one status file");
  kept = {beside_output(output, ".status.json"), std::move(job), utc_now(), std::nullopt, ""};
}

StatusFile::~StatusFile() {
  std::error_code ignored;
  for (const char* end : {"", ".part"}) fs::remove(kept->path.string() + end, ignored);  // also those of a killed run
  kept.reset();
}

void report_status(const Status& status) {
  if (!kept) return;
  const bool is_due =
      !kept->last_write || Clock::now() - *kept->last_write >= kInterval || status.phase != kept->last_phase;
  if (!is_due) return;
  kept->last_write = Clock::now();
  kept->last_phase = status.phase;
  try {
    write(status);
  } catch (const EnvironmentError&) {
  }
}

}  // namespace outsole
