#pragma once

#include "machine/plan.h"
#include "wear/trainer.h"
#include "wear/training_stages.h"

namespace outsole::wear {

/// What train would take, of all epochs or until its `minutes` are over: a step is timed on every rank's device.
/// Collective; every rank gets the plan. Throws as plan_training.
machine::Plan training_plan(const comm::Communicator& comm, const TrainOptions& options);

/// The same of all stages: a step of the last one is timed, the others take time by their operations. Collective.
machine::Plan training_plan(const comm::Communicator& comm, const TrainOptions& options, const StageLists& lists);

}  // namespace outsole::wear
