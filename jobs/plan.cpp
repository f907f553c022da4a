#include "plan.h"

#include <spdlog/fmt/fmt.h>

#include "core/progress.h"
#include "core/text.h"

namespace outsole::jobs {

namespace {

std::string line(const std::string& label, const std::string& text) {
  return fmt::format("{:<13} {}\n", label, printable(text));
}

std::string for_programs(const machine::ScalingRow& row) {
  return fmt::format("plan: ranks={} seconds={:.3g} memory_bytes={:.4g}\n", row.ranks, row.seconds, row.memory_bytes);
}

std::string plan_text(const machine::Plan& plan, const JobContext& context) {
  std::string text;
  for (const auto& [label, said] : plan.lines) text += line(label, said);
  if (!plan.knows_time()) return text + line("time", "not known: " + plan.basis);
  const machine::ScalingRow row = machine::estimate_here(plan, context.comm);
  if (row.memory_bytes > 0) text += line("memory", "about " + format_bytes(row.memory_bytes) + " a rank");
  text += line("time", fmt::format("about {} on {} ranks x {} threads, {}", format_duration(row.seconds), row.ranks,
                                   context.common.threads, plan.basis));
  const std::vector<int>& ranks = context.common.plan_ranks;
  if (ranks.empty()) return text + for_programs(row);
  const machine::NodeSpec node = context.common.plan_node.value_or(machine::node_here(context.comm));
  text += machine::scaling_table(plan.work, node, ranks);
  for (const int count : ranks) text += for_programs(machine::predict_on(count, plan.work, node));
  return text;
}

}  // namespace

Report plan_report(const machine::Plan& plan, const JobContext& context) {
  return [=] { return plan_text(plan, context); };
}

}  // namespace outsole::jobs
