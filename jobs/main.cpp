// outsole JOB [options]: what has to happen before MPI starts; run.h does the rest.

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "comm/communicator.h"
#include "comm/temporary_folder.h"
#include "core/errors.h"
#include "core/text.h"
#include "machine/large_tensors.h"
#include "run.h"

namespace outsole::jobs {

namespace {

Start prepare_start() {
  std::error_code ignored;
  const std::array<std::filesystem::path, 3> others{"/dev/shm", "/var/tmp", std::filesystem::current_path(ignored)};
  Start start{comm::find_launch([](const char* name) { return std::getenv(name); }), ""};
  if (start.launch.launcher.empty()) start.notice = comm::provide_temporary_folder(others);
  return start;
}

/// The whole program; its exit code.
int run_program(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  try {
    const Start start = prepare_start();
    const comm::Environment environment(argc, argv);
    machine::map_large_tensors();
    return run(words, start);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "outsole: %s\n", printable(error.what()).c_str());
    return static_cast<int>(ExitCode::kEnvironment);
  }
}

}  // namespace

}  // namespace outsole::jobs

int main(int argc, char** argv) {
  const int code = outsole::jobs::run_program(argc, argv);
  // LibTorch would take back one by one what it registered at the start: a seventh of the time of a short job.
  std::fflush(nullptr);
  std::_Exit(code);
}
