#pragma once

#include "machine/plan.h"
#include "wear/predict.h"

namespace outsole::wear {

/// What predict would take: the model is timed on one image, on every rank's device. Pictures are not counted.
/// Collective; every rank gets the plan. Throws as predict.
machine::Plan prediction_plan(const comm::Communicator& comm, const PredictOptions& options);

}  // namespace outsole::wear
