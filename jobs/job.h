#pragma once
// What a job is: a name, its options, and a function that parses them and calls src/. One file a job; jobs.h lists them.

#include <string>
#include <vector>

#include <boost/program_options.hpp>

#include "comm/communicator.h"

namespace outsole::jobs {

namespace po = boost::program_options;

/// The options every job takes.
struct CommonOptions {
  std::string device = "auto";   // auto | cpu | cuda
  double memory_gib = 4;         // per rank, the whole process
  double device_memory_gib = 0;  // of a GPU, per rank; 0: its share of most of what is free
  int threads = 0;               // per rank; 0: the cores this rank may use, shared among the ranks of the machine
  double watchdog_minutes = 30;  // a rank that does not move for so long while others wait ends the job; 0: never
  bool strict = false;           // one bad input stops the job
  bool plan = false;             // print work, memory, time and partition; run nothing
};

struct JobContext {
  const comm::Communicator& comm;
  CommonOptions common;
  std::vector<std::string> command_line;  // as typed, for provenance
};

struct Job {
  std::string name;         // "search"
  std::string summary;      // one line for `outsole --help`
  std::string positional;   // option that takes the words without dashes ("what" of `evaluate what`), or empty
  std::string details;      // printed under the options by `outsole JOB --help`: an example, what the output holds
  void (*add_options)(po::options_description& options);
  /// Runs on every rank. Throws Error; returns when done. Only rank 0 prints to standard output.
  void (*run)(const po::variables_map& options, const JobContext& context);
};

Job synthesize_job();
Job ingest_job();
Job prepare_job();
Job index_job();
Job search_job();
Job train_job();
Job predict_job();
Job evaluate_job();
Job info_job();
Job validate_job();

}  // namespace outsole::jobs
