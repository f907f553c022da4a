#include "core/progress.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "core/status.h"

namespace outsole {

Progress::Progress(std::string label, std::string unit, std::int64_t total, bool enabled, std::int64_t done)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      done_(done),
      done_before_(done),
      enabled_(enabled),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      last_print_(start_) {
  if (enabled_) report_status({label_, unit_, done_, total_});
}

Progress::~Progress() {
  if (printed_ && terminal_) std::fputc('\n', stderr);
}

void Progress::advance(std::int64_t units) {
  done_ += units;
  if (!enabled_) return;
  const auto now = Clock::now();
  const double elapsed_s = std::chrono::duration<double>(now - start_).count();
  const double left_s = elapsed_s * static_cast<double>(total_ - done_) /
                        static_cast<double>(std::max<std::int64_t>(done_ - done_before_, 1));
  report_status({label_, unit_, done_, total_, left_s});

  const double since_print_s = std::chrono::duration<double>(now - last_print_).count();
  const bool last = done_ >= total_;
  if (!spdlog::should_log(spdlog::level::info) || (since_print_s < (terminal_ ? 0.2 : 60.0) && !last)) return;
  last_print_ = now;
  print(last ? "took " + format_duration(elapsed_s) : "about " + format_duration(left_s) + " left");
}

void Progress::print(const std::string& time) {
  const std::string counts = std::to_string(done_) + " of " + std::to_string(total_) + " " + unit_;
  if (!terminal_) {
    spdlog::info("{}: {}, {}", label_, counts, time);
    return;
  }
  constexpr int kWidth = 30;
  const int filled = total_ > 0 ? static_cast<int>(kWidth * done_ / total_) : kWidth;
  const std::string bar = std::string(filled, '#') + std::string(kWidth - filled, '.');
  std::fprintf(stderr, "\r\033[K%s [%s] %s, %s", label_.c_str(), bar.c_str(), counts.c_str(), time.c_str());
  std::fflush(stderr);
  printed_ = true;
}

std::string format_duration(double seconds) {
  const auto total = static_cast<std::int64_t>(std::llround(seconds));
  char text[64];
  if (total < 60) {
    std::snprintf(text, sizeof text, "%.*f s", seconds < 10 ? 1 : 0, seconds);
  } else if (total < 3600) {
    std::snprintf(text, sizeof text, "%d min %02d s", static_cast<int>(total / 60), static_cast<int>(total % 60));
  } else {
    std::snprintf(text, sizeof text, "%lld h %02d min", static_cast<long long>(total / 3600),
                  static_cast<int>(total / 60 % 60));
  }
  return text;
}

std::string format_bytes(double bytes) {
  const char* const kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  while (bytes >= 1024 && unit < 5) {
    bytes /= 1024;
    ++unit;
  }
  char text[64];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, kUnits[unit]);
  return text;
}

}  // namespace outsole
