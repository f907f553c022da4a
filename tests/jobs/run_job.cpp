#include "run_job.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace outsole::testing {

namespace fs = std::filesystem;

namespace {

constexpr auto kPollInterval = std::chrono::milliseconds(2);

/// How many times longer jobs may take than usual: sanitizers slow them down (tests/long.sh).
int times_longer() {
  const char* times = std::getenv("OUTSOLE_TEST_PATIENCE");
  return times == nullptr ? 1 : std::max(1, std::atoi(times));
}

/// A limit of waiting that this process has to live through: time in which it was stopped, with the job, is not
/// counted.
class Patience {
 public:
  explicit Patience(std::chrono::seconds limit) : left_(limit * times_longer()) {}

  /// Sleeps for a moment; false when there was no time left to.
  bool wait_a_moment() {
    const auto start = std::chrono::steady_clock::now();
    std::this_thread::sleep_for(kPollInterval);
    left_ -= std::min(std::chrono::steady_clock::now() - start, kLongestMoment);
    return left_ > std::chrono::steady_clock::duration::zero();
  }

 private:
  static constexpr std::chrono::steady_clock::duration kLongestMoment = std::chrono::milliseconds(500);
  std::chrono::steady_clock::duration left_;
};

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> command(const std::vector<std::string>& arguments, int ranks) {
  std::vector<std::string> words;
  if (ranks > 0) words = {OUTSOLE_MPIEXEC, "--oversubscribe", "--bind-to", "none", "-n", std::to_string(ranks)};
  words.emplace_back(OUTSOLE_EXECUTABLE);
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

/// A job that a rank of an MPI job starts is no rank of it.
void forget_mpi() {
  std::vector<std::string> names;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    if (text.starts_with("OMPI_") || text.starts_with("PMIX_")) names.push_back(text.substr(0, text.find('=')));
  }
  for (const std::string& name : names) unsetenv(name.c_str());
}

/// In the child: runs the command in the folder with its output going to files.
[[noreturn]] void execute(const fs::path& folder, const fs::path& output, const fs::path& errors,
                          const std::vector<std::string>& words, const std::vector<std::string>& environment) {
  setpgid(0, 0);
  const int out = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const int err = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (out < 0 || err < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0 ||
      chdir(folder.c_str()) != 0) {
    _exit(126);
  }
  forget_mpi();
  setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
  setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
  setenv("OMP_NUM_THREADS", "1", 1);
  setenv("OPENBLAS_NUM_THREADS", "1", 1);
  setenv("OMP_WAIT_POLICY", "passive", 1);  // what waits leaves the cores to others
  setenv("OMPI_MCA_mpi_yield_when_idle", "1", 1);
  for (const std::string& variable : environment) putenv(const_cast<char*>(variable.c_str()));
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  _exit(127);
}

}  // namespace

RunningJob::RunningJob(const fs::path& folder, const std::vector<std::string>& arguments, int ranks,
                       const std::vector<std::string>& environment)
    : output_(folder.string() + ".out"), errors_(folder.string() + ".err"), under_mpirun_(ranks > 0) {
  const auto words = command(arguments, ranks);
  process_ = fork();
  if (process_ < 0) throw std::runtime_error("no process for a job");
  if (process_ == 0) execute(folder, output_, errors_, words, environment);
}

RunningJob::~RunningJob() {
  if (!has_ended()) kill_all();
  fs::remove(output_);
  fs::remove(errors_);
}

std::vector<pid_t> RunningJob::rank_processes() const {
  if (!under_mpirun_) return {process_};
  const std::string id = std::to_string(process_);
  std::istringstream children(read_file("/proc/" + id + "/task/" + id + "/children"));
  std::vector<pid_t> ranks;
  for (pid_t child; children >> child;) ranks.push_back(child);
  return ranks;
}

void RunningJob::send(int signal) const {
  for (const pid_t rank : rank_processes()) kill(rank, signal);
}

bool RunningJob::has_ended() {
  if (!ended_) ended_ = waitpid(process_, &status_, WNOHANG) == process_;
  return ended_;
}

void RunningJob::kill_all() {
  send(SIGKILL);
  kill(process_, SIGKILL);
  waitpid(process_, &status_, 0);
  ended_ = true;
}

bool RunningJob::wait_for(const fs::path& path, std::chrono::seconds limit) {
  Patience patience(limit);
  while (!fs::exists(path)) {
    if (has_ended() || !patience.wait_a_moment()) return fs::exists(path);
  }
  return true;
}

JobResult RunningJob::wait(std::chrono::seconds limit) {
  JobResult result;
  Patience patience(limit);
  while (!has_ended()) {
    if (patience.wait_a_moment()) continue;
    result.timed_out = true;
    kill_all();
  }
  if (WIFEXITED(status_)) result.exit_code = WEXITSTATUS(status_);
  if (WIFSIGNALED(status_)) result.signal = WTERMSIG(status_);
  result.output = read_file(output_);
  result.errors = read_file(errors_);
  return result;
}

JobResult run_job(const fs::path& folder, const std::vector<std::string>& arguments, int ranks,
                  std::chrono::seconds limit) {
  return RunningJob(folder, arguments, ranks).wait(limit);
}

}  // namespace outsole::testing
