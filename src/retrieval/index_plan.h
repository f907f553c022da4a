#pragma once

#include "machine/plan.h"
#include "retrieval/build_index.h"

namespace outsole::retrieval {

/// What build_index would take: a forward pass is timed on every rank's device. Collective; every rank gets the plan.
/// Throws as build_index.
machine::Plan index_plan(const comm::Communicator& comm, const BuildIndexOptions& options);

}  // namespace outsole::retrieval
