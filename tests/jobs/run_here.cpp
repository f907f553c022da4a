#include "run_here.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <stdexcept>

#include "comm/communicator.h"
#include "files.h"
#include "jobs/run.h"

namespace outsole::testing {

namespace fs = std::filesystem;

namespace {

/// Sends what this process prints to a file; afterwards where it went before.
class Printed {
 public:
  Printed(int to, const fs::path& file) : to_(to), before_(dup(to)) {
    std::fflush(nullptr);
    const int output = open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (output < 0) throw std::runtime_error(file.string() + ": cannot be written");
    dup2(output, to_);
    close(output);
  }
  ~Printed() {
    std::fflush(nullptr);
    dup2(before_, to_);
    close(before_);
  }
  Printed(const Printed&) = delete;
  Printed& operator=(const Printed&) = delete;

 private:
  int to_, before_;
};

/// Works in a folder; afterwards where it worked before.
class Within {
 public:
  explicit Within(const fs::path& folder) { fs::current_path(folder); }
  ~Within() { fs::current_path(before_); }
  Within(const Within&) = delete;
  Within& operator=(const Within&) = delete;

 private:
  fs::path before_ = fs::current_path();
};

}  // namespace

JobResult run_here(const fs::path& folder, const std::vector<std::string>& arguments) {
  const comm::Communicator comm;
  const std::string beside = folder.string() + "." + std::to_string(comm.rank());
  const fs::path output = beside + ".out", errors = beside + ".err";
  std::vector<std::string> words = {OUTSOLE_EXECUTABLE};  // as what the program writes says
  words.insert(words.end(), arguments.begin(), arguments.end());
  JobResult result;
  {
    const Within within(folder);
    const Printed out(STDOUT_FILENO, output), err(STDERR_FILENO, errors);
    result.exit_code = jobs::run(words, {});
  }
  comm.barrier();  // all have left their files
  result.output = read_bytes(output);
  result.errors = read_bytes(errors);
  fs::remove(output);
  fs::remove(errors);
  return result;
}

}  // namespace outsole::testing
