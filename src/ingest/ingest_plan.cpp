#include "ingest/ingest_plan.h"

#include <spdlog/fmt/fmt.h>

#include "core/progress.h"

namespace outsole::ingest {

machine::Plan ingest_plan(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind) {
  constexpr double kBytesASecond = 25e6;  // of compressed files, one thread (bench_ingest)
  const IngestFacts facts = ingest_facts(comm, options, kind);
  const auto file_bytes = static_cast<double>(facts.file_bytes);
  machine::Plan plan;
  plan.lines = {{"images", fmt::format("{} files, {}", facts.files, format_bytes(file_bytes))},
                {"partition", fmt::format("{} units on {} ranks", facts.units, comm.size())}};
  plan.work.partitions = {{"units", facts.units}};
  plan.work.compute_s = file_bytes / kBytesASecond;
  plan.work.read_bytes = file_bytes;
  plan.work.written_bytes = file_bytes;  // compressed like the files
  plan.work.memory_bytes = static_cast<double>(options.memory_bytes);
  plan.basis = fmt::format("at {:.0f} MB of files a second and rank", 1e-6 * kBytesASecond);
  return plan;
}

}  // namespace outsole::ingest
