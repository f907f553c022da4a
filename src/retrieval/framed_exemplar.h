#pragma once
// An exemplar as the index sees it.

#include <ATen/ATen.h>

#include "ingest/exemplars.h"
#include "retrieval/index_parameters.h"

namespace outsole::retrieval {

/// The exemplar on the frame (mirrored where its record says so; white around it: below, and on both sides), at the
/// search scale, in whole grey levels [H, W].
at::Tensor framed_exemplar(const ingest::ExemplarRecord& record, const IndexParameters& parameters);

}  // namespace outsole::retrieval
