#include "scaling.h"

#include <cstdio>
#include <sstream>

#include "core/errors.h"

namespace outsole::jobs {

namespace {

std::vector<int> parse_ranks(const std::string& text) {
  std::vector<int> ranks;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    int count = 0, used = 0;
    if (std::sscanf(word.c_str(), "%7d%n", &count, &used) != 1 || static_cast<std::size_t>(used) != word.size() ||
        count < 1) {
      throw UsageError("--plan-ranks " + text + ": expected numbers of ranks, as in 1,64,4096");
    }
    ranks.push_back(count);
  }
  return ranks;
}

}  // namespace

void add_scaling_options(po::options_description& options) {
  options.add_options()  //
      ("plan-ranks", po::value<std::string>()->value_name("R1,R2,...")->default_value(""),
       "with --plan: time, memory and efficiency on so many ranks, too")  //
      ("plan-node", po::value<std::string>()->value_name("KEY=VALUE,...")->default_value(""),
       "of such nodes: ranks, speed (of a rank, over this one), memory (GB), disk, shared-disk, network (GB/s), "
       "latency "
       "(microseconds)");
}

void print_scaling(const machine::JobWork& work, const po::variables_map& options) {
  const auto ranks = options["plan-ranks"].as<std::string>();
  if (ranks.empty()) return;
  const machine::NodeSpec node = machine::parse_node_spec(options["plan-node"].as<std::string>());
  const std::vector<int> counts = parse_ranks(ranks);
  std::printf("%s", machine::scaling_table(work, node, counts).c_str());
  for (const int count : counts) {  // for scripts
    std::printf("plan: ranks=%d seconds=%.3g\n", count, machine::predict_on(count, work, node).seconds);
  }
}

}  // namespace outsole::jobs
