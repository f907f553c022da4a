#include "retrieval/search_plan.h"

#include <spdlog/fmt/fmt.h>

#include "core/progress.h"

namespace outsole::retrieval {

machine::Plan search_plan(const comm::Communicator& comm, const SearchOptions& options) {
  const SearchFacts facts = search_facts(comm, options);
  machine::Plan plan;
  plan.lines = {
      {"marks", fmt::format("{}", facts.marks)},
      {"exemplars", fmt::format("{} in {} blocks of 32", facts.exemplars, facts.blocks)},
      {"poses", fmt::format("{}, {:.0f} a mark", facts.poses,
                            static_cast<double>(facts.poses) / static_cast<double>(facts.marks))},
      {"products", fmt::format("{:.3g} TFLOP to compare, {:.3g} TFLOP for features", 1e-12 * facts.useful_flops,
                               1e-12 * facts.feature_flops)},
      {"index", fmt::format("{}, {} as 32-bit floats, {}", format_bytes(static_cast<double>(facts.stored_bytes)),
                            format_bytes(static_cast<double>(facts.index_bytes)),
                            facts.in_memory ? "kept in memory" : "streamed from disk for every mark")},
      {"partition", fmt::format("{} ranks in {} team{}, which share the marks; a team's ranks share the exemplars",
                                comm.size(), facts.teams.count, facts.teams.count == 1 ? "" : "s")},
      {"busy ranks", fmt::format("{:.1f} on average, {:.0f}%", facts.teams.busy, 100 * facts.teams.busy / comm.size())},
      {"code", fmt::format("{} (by FFT: {:.3g} TFLOP, at a seventieth of a product's rate)", facts.path,
                           1e-12 * facts.fft_flops)}};
  plan.work = facts.work;
  plan.basis = fmt::format("comparing at {:.0f} GFLOP/s a rank, measured now", facts.compare_gflops);
  return plan;
}

}  // namespace outsole::retrieval
