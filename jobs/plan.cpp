#include "plan.h"

#include <spdlog/fmt/fmt.h>

#include <cstdio>
#include <sstream>

#include "core/errors.h"
#include "core/progress.h"
#include "core/text.h"

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

std::string line(const std::string& label, const std::string& text) {
  return fmt::format("{:<13} {}\n", label, printable(text));
}

std::string for_programs(const machine::ScalingRow& row) {
  return fmt::format("plan: ranks={} seconds={:.3g} memory_bytes={:.4g}\n", row.ranks, row.seconds, row.memory_bytes);
}

std::string text_of(const machine::Plan& plan, const JobContext& context, const std::vector<int>& ranks,
                    const machine::NodeSpec& node) {
  std::string text;
  for (const auto& [label, said] : plan.lines) text += line(label, said);
  if (!plan.knows_time()) return text + line("time", "not known: " + plan.basis);
  const machine::ScalingRow row = machine::estimate_here(plan, context.comm);
  if (row.memory_bytes > 0) text += line("memory", "about " + format_bytes(row.memory_bytes) + " a rank");
  text += line("time", fmt::format("about {} on {} ranks x {} threads, {}", format_duration(row.seconds), row.ranks,
                                   context.common.threads, plan.basis));
  if (ranks.empty()) return text + for_programs(row);
  text += machine::scaling_table(plan.work, node, ranks);
  for (const int count : ranks) text += for_programs(machine::predict_on(count, plan.work, node));
  return text;
}

}  // namespace

void print_plan(const JobContext& context, const std::function<machine::Plan()>& make) {
  // Every rank reads the options, so what is wrong with them every rank knows.
  const std::vector<int> ranks = parse_ranks(context.common.plan_ranks);
  const machine::NodeSpec node = context.common.plan_node.empty() ? machine::node_here(context.comm)
                                                                  : machine::parse_node_spec(context.common.plan_node);
  const machine::Plan plan = make();
  context.comm.together([&] {
    if (context.comm.is_root()) std::printf("%s", text_of(plan, context, ranks, node).c_str());
  });
}

}  // namespace outsole::jobs
