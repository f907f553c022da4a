// outsole JOB [options]: finds the job, reads its options, runs it on all ranks, and turns errors into exit codes.

#include <ATen/Version.h>
#include <spdlog/spdlog.h>
#include <torch/csrc/api/include/torch/version.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <opencv2/core/utility.hpp>
#include <opencv2/core/version.hpp>
#include <optional>
#include <sstream>

#include "comm/communicator.h"
#include "machine/device.h"
#include "comm/watchdog.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "core/status.h"
#include "core/stop.h"
#include "core/text.h"
#include "job.h"
#include "match/mcncc.h"
#include "options.h"
#include "store/store.h"

namespace outsole::jobs {

namespace {

std::vector<Job> all_jobs() {
  return {synthesize_job(), ingest_job(),  prepare_job(),  index_job(), search_job(),
          train_job(),      predict_job(), evaluate_job(), info_job(),  validate_job()};
}

void print_help() {
  std::printf(
      "outsole ranks the exemplars that may have left a crime-scene mark, and models how outsoles wear.\n\n"
      "usage: outsole JOB [options], or mpirun -n N "
      "outsole JOB [options]\n\n");
  for (const Job& job : all_jobs()) std::printf("  %-12s %s\n", job.name.c_str(), job.summary.c_str());
  std::printf("\n`outsole JOB --help` lists a job's options; `outsole --version` the versions it was built with.\n");
}

void print_version() {
  std::printf("outsole %s\n  LibTorch %s, OpenCV %s, HDF5 %s, %s\n  search kernel: %s\n", OUTSOLE_VERSION,
              TORCH_VERSION, CV_VERSION, store::hdf5_version().c_str(), comm::mpi_version().c_str(),
              match::kernel_instructions().c_str());
}

const Job& find_job(const std::vector<Job>& jobs, const std::string& name) {
  std::vector<std::string> names;
  for (const Job& job : jobs) {
    if (job.name == name) return job;
    names.push_back(job.name);
  }
  const std::string nearest = nearest_name(name, names);
  throw UsageError("no job '" + name + "'" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?") +
                   " `outsole --help` lists them");
}

po::options_description common_options(CommonOptions& common, std::string& log_level) {
  po::options_description options("Options of every job", 120);
  options.add_options()       //
      ("help", "print this")  //
      ("config", po::value<std::string>()->value_name("FILE"),
       "read options from a file, a line each: option = value")  //
      ("device", po::value(&common.device)->value_name("auto|cpu|cuda")->default_value(common.device),
       "where to compute features")  //
      ("memory-gib", po::value(&common.memory_gib)->default_value(common.memory_gib),
       "memory a rank may use, the whole process")  //
      ("device-memory-gib", po::value(&common.device_memory_gib)->value_name("G")->default_value(common.device_memory_gib),
       "memory of its GPU that a rank may use to search; 0: most of what is free, shared by the ranks of that GPU")  //
      ("threads", po::value(&common.threads)->default_value(common.threads),
       "threads a rank; 0: its share of the cores")                                                          //
      ("log-level", po::value(&log_level)->default_value("info"), "trace, debug, info, warn, error or off")  //
      ("watchdog-minutes", po::value(&common.watchdog_minutes)->value_name("M")->default_value(common.watchdog_minutes),
       "end the job when a rank hangs for so long while others wait for it; 0: never")                      //
      ("strict", po::bool_switch(&common.strict), "stop at the first bad input instead of leaving it out")  //
      ("plan", po::bool_switch(&common.plan), "print the work, memory, time and partition; run nothing");
  return options;
}

void warn_of_slow_blas(const comm::Communicator& comm) {
  constexpr double kSlowGflops = 8;
  const double gflops = machine::measured_sgemm_gflops();
  if (comm.is_root() && gflops < kSlowGflops) {
    spdlog::warn("matrix products run at {:.1f} GFLOP/s: LibTorch uses a slow BLAS; install libopenblas0-pthread",
                 gflops);
  }
}

void run_job(const std::vector<std::string>& words, const comm::Communicator& comm) {
  const auto jobs = all_jobs();
  const Job& job = find_job(jobs, words[1]);
  CommonOptions common;
  std::string log_level;
  po::options_description own("outsole " + job.name + ": " + job.summary + "\n\nOptions", 120);
  job.add_options(own);
  po::options_description all = own;
  all.add(common_options(common, log_level));
  const po::variables_map options =
      read_options("outsole " + job.name, job.positional, {words.begin() + 2, words.end()}, all);
  if (options.count("help") > 0) {
    if (comm.is_root()) std::cout << all << "\n" << job.details;
    return;
  }
  start_log(log_level, comm.rank(), comm.size());
  if (!(common.memory_gib >= 0.75 && common.memory_gib <= 1e6)) {
    throw UsageError("--memory-gib: at least 0.75, since the libraries alone take half of that, and at most a million");
  }
  if (!(common.device_memory_gib >= 0 && common.device_memory_gib <= 1e6))
    throw UsageError("--device-memory-gib: must be 0 (automatic) or a number of GiB, at most a million");
  if (common.threads < 0 || common.threads > 4096)
    throw UsageError("--threads: must be 0 (automatic) or a number of threads");
  if (!(common.watchdog_minutes >= 0 && common.watchdog_minutes <= 1e6))
    throw UsageError("--watchdog-minutes: must be 0 (never) or a number of minutes, at most a million");
  common.threads = machine::choose_threads(common.threads, comm);
  cv::setNumThreads(common.threads);
  install_stop_handler();
  warn_of_slow_blas(comm);
  std::optional<StatusFile> status;
  std::optional<comm::Watchdog> watchdog;
  if (!common.plan && options.count("output") > 0) {
    const auto& output = options["output"].as<std::string>();
    if (comm.is_root()) status.emplace(output, job.name);
    if (common.watchdog_minutes > 0) {
      watchdog.emplace(comm, beside_output(output, ".pulses"),
                       std::chrono::duration<double>(60 * common.watchdog_minutes));
    }
  }
  job.run(options, {comm, common, words});
  comm.barrier();  // one that hangs at the very end is found, too
}

/// Prints the error once, or on the rank that alone knows of it before it ends all.
int leave_with(const comm::Communicator& comm, bool known_to_all, ExitCode code, const std::string& message) {
  if (!known_to_all || comm.is_root()) std::fprintf(stderr, "outsole: %s\n", printable(message).c_str());
  if (!known_to_all && comm.size() > 1) comm::abort_job(static_cast<int>(code));
  return static_cast<int>(code);
}

int run(const std::vector<std::string>& words) {
  const comm::Communicator comm;
  if (words.size() < 2 || words[1] == "--help" || words[1] == "-h" || words[1] == "help") {
    if (comm.is_root()) print_help();
    return static_cast<int>(words.size() < 2 ? ExitCode::kUsage : ExitCode::kDone);
  }
  if (words[1] == "--version") {
    if (comm.is_root()) print_version();
    return static_cast<int>(ExitCode::kDone);
  }
  try {
    run_job(words, comm);
    return static_cast<int>(ExitCode::kDone);
  } catch (const UsageError& error) {
    // Every rank reads the same command line, so every rank comes here.
    return leave_with(comm, true, error.code(), error.what());
  } catch (const Error& error) {
    return leave_with(comm, error.known_to_all_ranks(), error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return leave_with(comm, false, ExitCode::kEnvironment, "out of memory; lower --memory-gib or use more ranks");
  } catch (const std::exception& error) {
    return leave_with(comm, false, ExitCode::kBug, error.what());
  }
}

}  // namespace

}  // namespace outsole::jobs

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv, argv + argc);
  try {
    const outsole::comm::Environment environment(argc, argv);
    return outsole::jobs::run(words);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "outsole: %s\n", outsole::printable(error.what()).c_str());
    return static_cast<int>(outsole::ExitCode::kEnvironment);
  }
}
