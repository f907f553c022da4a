#pragma once

#include "machine/plan.h"
#include "wear/trainer.h"

namespace outsole::wear {

/// What train would take, of all epochs or until its `minutes` are over: a step is timed on every rank's device.
/// Collective; every rank gets the plan. Throws as plan_training.
machine::Plan training_plan(const comm::Communicator& comm, const TrainOptions& options);

}  // namespace outsole::wear
