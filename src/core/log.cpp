#include "core/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>

#include "core/errors.h"
#include "core/text.h"

namespace outsole {

namespace {

/// The message of a line, %v, with nothing in it that acts on a terminal: it may name files and what they hold.
class PrintableMessage : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& line) override {
    const std::string text = printable({message.payload.data(), message.payload.size()});
    line.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<custom_flag_formatter> clone() const override { return std::make_unique<PrintableMessage>(); }
};

}  // namespace

void start_log(const std::string& level, int rank, int ranks) {
  static const std::array<std::string, 6> kLevels = {"trace", "debug", "info", "warn", "error", "off"};
  if (std::find(kLevels.begin(), kLevels.end(), level) == kLevels.end()) {
    throw UsageError("`log_level` " + level + ": not one of trace, debug, info, warn, error, off");
  }
  auto logger = std::make_shared<spdlog::logger>("outsole", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<PrintableMessage>('v');
  const std::string of_rank = ranks > 1 ? "[rank " + std::to_string(rank) + "] " : "";
  formatter->set_pattern("%H:%M:%S " + of_rank + "%^%l%$ %v");
  logger->set_formatter(std::move(formatter));
  const auto wanted = spdlog::level::from_str(level);
  logger->set_level(rank == 0 ? wanted : std::max(wanted, spdlog::level::warn));
  spdlog::set_default_logger(logger);
}

}  // namespace outsole
