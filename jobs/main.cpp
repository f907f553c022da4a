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

}  // namespace

}  // namespace outsole::jobs

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  try {
    const outsole::jobs::Start start = outsole::jobs::prepare_start();
    const outsole::comm::Environment environment(argc, argv);
    outsole::machine::map_large_tensors();
    return outsole::jobs::run(words, start);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "outsole: %s\n", outsole::printable(error.what()).c_str());
    return static_cast<int>(outsole::ExitCode::kEnvironment);
  }
}
