#pragma once
// What a job is: a name, its options bound to the fields that hold them, and a function that calls src/. One file a
// job; main.cpp lists them.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"
#include "machine/scaling.h"
#include "options.h"

namespace outsole::jobs {

/// The options every job takes.
struct CommonOptions {
  std::string device = "auto";   // auto | cpu | cuda
  double memory_gib = 4;         // per rank, the whole process
  double device_memory_gib = 0;  // of a GPU, per rank; 0: its share of most of what is free
  int threads = 0;               // per rank; 0: the cores this rank may use, shared among the ranks of the machine
  double watchdog_minutes = 30;  // a rank that does not move for so long while others wait ends the job; 0: never
  bool strict = false;           // one bad input stops the job
  bool plan = false;             // print work, memory, time and partition; run nothing
  std::vector<int> plan_ranks;   // with `plan`: for so many ranks, too
  std::optional<machine::NodeSpec> plan_node;  // of such nodes; nothing: of nodes like this machine
};

struct JobContext {
  const comm::Communicator& comm;
  CommonOptions common;
  std::vector<std::string> command_line;  // as typed, for provenance

  std::int64_t memory_bytes() const { return static_cast<std::int64_t>(common.memory_gib * (std::int64_t{1} << 30)); }
};

struct JobText {
  std::string name;        // "search"
  std::string summary;     // one line for `outsole --help`
  std::string positional;  // option that takes the words without dashes ("what" of `evaluate what`), or empty
  std::string details;     // printed under the options by `outsole JOB --help`: an example, what the output holds
};

/// The text that a job ends with, of a plan or of what was done. Called on rank 0 alone, within Communicator::together:
/// an error there reaches all ranks.
using Report = std::function<std::string()>;

struct Job {
  JobText text;
  std::function<void(Options& options)> declare;
  /// Runs on every rank, once the options have their values; throws Error.
  std::function<Report(const JobContext& context)> run;
};

/// A job whose options land in an `Own`: `declare` binds its fields, `run` does what they say.
template <typename Own>
Job make_job(JobText text, void (*declare)(Own& own, Options& options),
             Report (*run)(Own& own, const JobContext& context)) {
  const auto own = std::make_shared<Own>();
  return {std::move(text), [=](Options& options) { declare(*own, options); },
          [=](const JobContext& context) { return run(*own, context); }};
}

Job synthesize_job();
Job ingest_job();
Job prepare_job();
Job index_job();
Job learn_job();
Job search_job();
Job fuse_job();
Job train_job();
Job predict_job();
Job evaluate_job();
Job report_job();
Job info_job();
Job validate_job();
Job copy_job();
Job rename_job();
Job export_job();

}  // namespace outsole::jobs
