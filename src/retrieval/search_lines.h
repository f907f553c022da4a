#pragma once

#include "machine/plan.h"
#include "retrieval/search.h"

namespace outsole::retrieval {

/// plan_search, as jobs tell their plans. Collective; every rank gets the plan. Throws as plan_search.
machine::Plan search_plan(const comm::Communicator& comm, const SearchOptions& options);

}  // namespace outsole::retrieval
