#pragma once

#include "machine/plan.h"
#include "synth/synthesize.h"

namespace outsole::synth {

/// What the functions of synthesize.h would take: an image is drawn, a small one where the wanted ones are large.
/// Collective; every rank gets the plan. Throws DataError for an exemplar that cannot be read.
machine::Plan synthesis_plan(const comm::Communicator& comm, const SynthesizeExemplarsOptions& options);
machine::Plan synthesis_plan(const comm::Communicator& comm, const SynthesizeMarksOptions& options);
machine::Plan synthesis_plan(const comm::Communicator& comm, const SynthesizeWearOptions& options);

}  // namespace outsole::synth
