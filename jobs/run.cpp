#include "run.h"

#include <ATen/Version.h>
#include <spdlog/spdlog.h>
#include <torch/csrc/api/include/torch/version.h>

#include <chrono>
#include <cstdio>
#include <opencv2/core/utility.hpp>
#include <opencv2/core/version.hpp>
#include <optional>

#include "comm/communicator.h"
#include "comm/watchdog.h"
#include "core/errors.h"
#include "core/files.h"
#include "core/log.h"
#include "core/out_of_memory.h"
#include "core/status.h"
#include "core/stop.h"
#include "core/text.h"
#include "job.h"
#include "machine/device.h"
#include "match/mcncc.h"
#include "options.h"
#include "store/store.h"

namespace outsole::jobs {

namespace {

std::vector<Job> all_jobs() {
  return {synthesize_job(), ingest_job(), prepare_job(), index_job(),    learn_job(),  search_job(),
          fuse_job(),       train_job(),  predict_job(), evaluate_job(), report_job(), info_job(),
          validate_job(),   copy_job(),   rename_job(),  export_job()};
}

void print_help() {
  std::printf(
      "outsole ranks the exemplars that may have left a crime-scene mark, and models how outsoles wear.\n\n"
      "usage: outsole JOB [options], or mpirun -n N "
      "outsole JOB [options]\n\n");
  for (const Job& job : all_jobs()) std::printf("  %-12s %s\n", job.text.name.c_str(), job.text.summary.c_str());
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
    if (job.text.name == name) return job;
    names.push_back(job.text.name);
  }
  const std::string nearest = nearest_name(name, names);
  throw UsageError("no job '" + name + "'" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?") +
                   " `outsole --help` lists them");
}

/// What main itself does, besides what it hands to the job.
struct MainOptions {
  bool help = false;
  std::string config;
  std::string log_level = "info";
};

std::vector<int> parse_plan_ranks(const std::string& text) {
  return parse_list<int>(text, 1, "expected numbers of ranks, as in 1,64,4096");
}

void declare_common(CommonOptions& common, MainOptions& own, Options& options) {
  options.begin_group("Options of every job");
  options.add_switch("help", own.help, "print this");
  options.add("config", "FILE", own.config,
              "read options from a file, a line each: option = value; a value that holds # stands in double quotes");
  options.add("device", "auto|cpu|cuda", common.device, "where to compute; auto: on a GPU where there is one")
      .one_of({"auto", "cpu", "cuda"});
  options
      .add("memory-gib", "N", common.memory_gib,
           "memory a rank may use, the whole process; the libraries take 0.5 of it")
      .at_least(0.75)
      .at_most(1e6)
      .in("GiB");
  options
      .add("device-memory-gib", "N", common.device_memory_gib,
           "memory of its GPU that a rank may use to search; 0: most of what is free, shared by the ranks of that GPU")
      .at_least(0)
      .at_most(1e6)
      .in("GiB");
  options.add("threads", "N", common.threads, "threads a rank; 0: its share of the cores").at_least(0).at_most(4096);
  options.add("log-level", "LEVEL", own.log_level, "trace, debug, info, warn, error or off")
      .one_of({"trace", "debug", "info", "warn", "error", "off"});
  options
      .add("watchdog-minutes", "M", common.watchdog_minutes,
           "end the job when a rank hangs for so long while others wait for it; 0: never")
      .at_least(0)
      .at_most(1e6)
      .in("minutes");
  options.add_switch("strict", common.strict, "stop at the first bad input instead of leaving it out");
  options.add_switch("plan", common.plan, "print the work, memory, time and partition; run nothing");
  options
      .add_parsed("plan-ranks", "R1,R2,...", common.plan_ranks, parse_plan_ranks, "",
                  "with --plan: time, memory and efficiency on so many ranks, too")
      .only_with("plan");
  options
      .add_parsed("plan-node", "KEY=VALUE,...", common.plan_node, machine::parse_node_spec, "",
                  "with --plan-ranks, of such nodes: ranks, speed (of a rank, over this one), memory (GB), disk, "
                  "shared-disk, network (GB/s), latency (microseconds)")
      .only_with("plan-ranks");
}

void warn_of_slow_blas(const comm::Communicator& comm) {
  constexpr double kSlowGflops = 8;
  const double gflops = machine::measured_sgemm_gflops();
  if (comm.is_root() && gflops < kSlowGflops) {
    spdlog::warn("matrix products run at {:.1f} GFLOP/s: LibTorch uses a slow BLAS; install libopenblas0-pthread",
                 gflops);
  }
}

/// Root's text to standard output.
void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
}

/// Runs the job, watched while it writes, and prints what it tells.
void run_job(const Job& job, const JobContext& context, const Option* output) {
  const comm::Communicator& comm = context.comm;
  std::optional<StatusFile> status;
  std::optional<comm::Watchdog> watchdog;
  if (!context.common.plan && output != nullptr && output->is_given) {
    if (comm.is_root()) status.emplace(output->words.front(), job.text.name);
    if (context.common.watchdog_minutes > 0) {
      watchdog.emplace(comm, beside_output(output->words.front(), ".pulses"),
                       std::chrono::duration<double>(60 * context.common.watchdog_minutes));
    }
  }
  const Report report = job.run(context);
  comm.together([&] {
    if (comm.is_root()) print(report());
  });  // one that hangs at the very end is found, too
}

/// Prints the error once, or on the rank that alone knows of it before it ends all.
int leave_with(const comm::Communicator& comm, bool known_to_all, ExitCode code, const std::string& message) {
  if (!known_to_all || comm.is_root()) std::fprintf(stderr, "outsole: %s\n", printable(message).c_str());
  if (!known_to_all && comm.size() > 1) comm::abort_job(static_cast<int>(code));
  return static_cast<int>(code);
}

/// Does `work`; its errors become exit codes, in the words of the job's `options`.
int exit_code_of(const comm::Communicator& comm, const Options& options, const std::function<void()>& work) {
  try {
    work();
    return static_cast<int>(ExitCode::kDone);
  } catch (const Error& error) {
    return leave_with(comm, error.known_to_all_ranks(), error.code(), options.in_words_of_options(error.what()));
  } catch (const std::exception& error) {
    const auto memory = out_of_memory(error);
    return memory ? leave_with(comm, false, ExitCode::kEnvironment, *memory + "; lower --memory-gib or use more ranks")
                  : leave_with(comm, false, ExitCode::kBug, error.what());
  }
}

/// Ranks that MPI does not know of would each run the whole job.
void require_all_tasks(const comm::Communicator& comm, const comm::Launch& launch) {
  const std::string complaint = comm::launch_complaint(launch, comm.size());
  if (!complaint.empty()) throw EnvironmentError(complaint);
}

}  // namespace

int run(const std::vector<std::string>& words, const Start& start) {
  const comm::Communicator comm;
  if (words.size() < 2 || words[1] == "--help" || words[1] == "-h" || words[1] == "help") {
    if (comm.is_root()) print_help();
    return static_cast<int>(words.size() < 2 ? ExitCode::kUsage : ExitCode::kDone);
  }
  if (words[1] == "--version") {
    if (comm.is_root()) print_version();
    return static_cast<int>(ExitCode::kDone);
  }
  Job job;
  CommonOptions common;
  MainOptions own;
  Options options;
  return exit_code_of(comm, options, [&] {
    comm.together([&] {
      job = find_job(all_jobs(), words[1]);
      job.declare(options);
      declare_common(common, own, options);
      options.read("outsole " + job.text.name, job.text.positional, {words.begin() + 2, words.end()});
    });
    if (own.help) {
      if (comm.is_root()) {
        print("outsole " + job.text.name + ": " + job.text.summary + "\n\n" + options.help_text() + job.text.details);
      }
      return;
    }
    start_log(own.log_level, comm.rank(), comm.size());
    require_all_tasks(comm, start.launch);
    if (!start.notice.empty()) spdlog::warn("{}", start.notice);
    common.threads = machine::choose_threads(common.threads, comm);
    cv::setNumThreads(common.threads);
    install_stop_handler();
    warn_of_slow_blas(comm);
    run_job(job, {comm, common, words}, options.find("output"));
  });
}

}  // namespace outsole::jobs
