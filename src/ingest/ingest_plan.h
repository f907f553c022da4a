#pragma once

#include "ingest/ingest.h"
#include "machine/plan.h"

namespace outsole::ingest {

/// What ingest_images would take. Collective; every rank gets the plan. Throws as ingest_facts.
machine::Plan ingest_plan(const comm::Communicator& comm, const IngestOptions& options, const IngestKind& kind);

}  // namespace outsole::ingest
