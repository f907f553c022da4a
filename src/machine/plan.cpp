#include "machine/plan.h"

#include "core/errors.h"

namespace outsole::machine {

NodeSpec node_here(const comm::Communicator& comm) {
  NodeSpec node;
  node.ranks = comm.local_ranks();
  return node;
}

ScalingRow estimate_here(const Plan& plan, const comm::Communicator& comm) {
  ensure(plan.knows_time(), "the plan knows its time");
  return predict_on(comm.size(), plan.work, node_here(comm));
}

}  // namespace outsole::machine
