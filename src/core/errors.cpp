#include "core/errors.h"

namespace outsole {

void ensure(bool condition, std::string_view what, std::source_location where) {
  if (condition) return;
  throw Bug(std::string("bug in outsole: ") + std::string(what) + " (" + where.file_name() + ":" +
            std::to_string(where.line()) + ")");
}

namespace {
template <typename Kind>
[[noreturn]] void throw_shared(const std::string& message) {
  Kind error(message);
  error.set_known_to_all_ranks();
  throw error;
}
}  // namespace

void throw_shared_error(ExitCode code, const std::string& message) {
  switch (code) {
    case ExitCode::kUsage:
      throw_shared<UsageError>(message);
    case ExitCode::kData:
      throw_shared<DataError>(message);
    case ExitCode::kEnvironment:
      throw_shared<EnvironmentError>(message);
    case ExitCode::kStopped:
      throw_shared<StopRequested>(message);
    case ExitCode::kDone:
    case ExitCode::kBug:
      break;
  }
  throw Bug(message);
}

}  // namespace outsole
