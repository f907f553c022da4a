#pragma once

#include "machine/plan.h"
#include "retrieval/search.h"

namespace outsole::retrieval {

/// What search would take. Collective; every rank gets the plan. Throws as search_facts.
machine::Plan search_plan(const comm::Communicator& comm, const SearchOptions& options);

}  // namespace outsole::retrieval
