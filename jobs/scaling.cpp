#include "scaling.h"

#include <spdlog/fmt/fmt.h>

namespace outsole::jobs {

void declare_scaling(ScalingOptions& scaling, Options& options) {
  const auto parse_ranks = [](const std::string& text) {
    return parse_list<int>(text, 1, "expected numbers of ranks, as in 1,64,4096");
  };
  options
      .add_parsed("plan-ranks", "R1,R2,...", scaling.ranks, parse_ranks, "",
                  "with --plan: time, memory and efficiency on so many ranks, too")
      .only_with("plan");
  options
      .add_parsed("plan-node", "KEY=VALUE,...", scaling.node, machine::parse_node_spec, "",
                  "with --plan-ranks, of such nodes: ranks, speed (of a rank, over this one), memory (GB), disk, "
                  "shared-disk, network (GB/s), latency (microseconds)")
      .only_with("plan-ranks");
}

std::string scaling_text(const machine::JobWork& work, const ScalingOptions& scaling) {
  if (scaling.ranks.empty()) return "";
  std::string text = machine::scaling_table(work, scaling.node, scaling.ranks);
  for (const int ranks : scaling.ranks) {  // for scripts
    text +=
        fmt::format("plan: ranks={} seconds={:.3g}\n", ranks, machine::predict_on(ranks, work, scaling.node).seconds);
  }
  return text;
}

}  // namespace outsole::jobs
