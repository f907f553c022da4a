#pragma once

#include "machine/plan.h"
#include "wear/prepare.h"

namespace outsole::wear {

/// What prepare_scans would take. Collective; every rank gets the plan. Throws as prepare_facts.
machine::Plan prepare_plan(const comm::Communicator& comm, const PrepareOptions& options);

}  // namespace outsole::wear
