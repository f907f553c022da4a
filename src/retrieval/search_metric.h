#pragma once
// Metrics as a search applies them: which one judges a mark, and in 32 bit.

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "match/mark_view.h"
#include "match/mcncc.h"
#include "retrieval/metric.h"
#include "retrieval/open_index.h"

namespace outsole::retrieval {

struct AppliedMetric {
  at::Tensor mark_projection, mark_mean;  // [K, C], [C] float32; undefined: a mark's channels are compared as they are
  at::Tensor exemplar_projection;         // [K, C]; undefined: exemplars' maps are compared as the index holds them
  match::ChannelModel channels;           // of what is compared

  std::int64_t components() const { return channels.weight.size(0); }
};

struct SearchMetrics {
  std::string sha256;                  // of METRIC.h5; empty: plain MCNCC, the one metric below
  std::vector<AppliedMetric> metrics;  // at least one
  std::vector<std::size_t> of_mark;    // for each mark of the search

  const AppliedMetric& of(std::int64_t mark) const { return metrics[of_mark[static_cast<std::size_t>(mark)]]; }
};

/// The metrics of `path` (empty: none) for a search of `marks` in an index. With one metric a fold, each mark is judged
/// by that of its own fold, which has not seen it; a mark without a fold is refused. Throws DataError, and UsageError
/// where the index holds projected maps of other metrics. Collective.
SearchMetrics metrics_for_search(const comm::Communicator& comm, const std::filesystem::path& path,
                                 const OpenIndex& index, const std::vector<std::filesystem::path>& marks);

/// Views of a mark as the metric sees them.
std::vector<match::MarkView> projected_views(std::vector<match::MarkView> views, const AppliedMetric& metric);

}  // namespace outsole::retrieval
