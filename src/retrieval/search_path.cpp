#include "retrieval/search_path.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "core/errors.h"

namespace outsole::retrieval {

namespace {

std::string kind_of(at::Device device) { return device.is_cpu() ? "cpu" : "cuda"; }

bool has(const RankMeans& rank, const std::string& kernel) {
  return std::ranges::find(rank.kernels, kernel) != rank.kernels.end();
}

std::string inputs_of(match::ComputePrecision precision) {
  switch (precision) {
    case match::ComputePrecision::k32:
      return "32-bit";
    case match::ComputePrecision::kTf32:
      return "TF32";
    case match::ComputePrecision::k16:
      return "16-bit";
  }
  throw Bug("unknown precision");
}

/// The device, then the kernels, a word each.
std::string own_means(at::Device device) {
  std::string words = kind_of(device);
  for (const match::SearchKernel& kernel : match::search_kernels()) {
    if (kernel.runs_here()) words += " " + kernel.name;
  }
  return words;
}

RankMeans decode_means(const std::string& words) {
  std::istringstream stream(words);
  RankMeans means;
  stream >> means.device;
  for (std::string kernel; stream >> kernel;) means.kernels.push_back(kernel);
  return means;
}

match::ReadyMark make_ready(const SearchPath& path, std::vector<match::MarkView> views, const IndexParameters& index,
                            const SearchProtocol& protocol, const match::ChannelModel& channels) {
  for (const match::MarkView& view : views) {
    if (!at::isfinite(view.features).all().item<bool>()) throw DataError("the mark's features are not finite");
  }
  const match::SearchTerms terms = {index.frame_cells(), erosion_radius(index, protocol), channels,
                                    protocol.similarity};
  return path.kernel->make_ready(std::move(views), terms, {path.device, path.precision});
}

}  // namespace

BlockAccess SearchPath::block_access() const {
  if (kernel->place != match::KernelPlace::kAnyDevice) return {};
  return {device, match::blocks_per_product(device)};
}

std::int64_t SearchPath::working_bytes(const IndexParameters& index, std::int64_t channels,
                                       const SearchProtocol& protocol, bool coarse_first) const {
  const std::int64_t cell_px = index.geometry.stride_px;
  const auto bytes_for = [&](std::int64_t stride_px) {
    return kernel->working_bytes(index.frame_cells(), channels, stride_px, at::get_num_threads(), protocol.similarity,
                                 {device, precision});
  };
  const std::int64_t bytes = bytes_for(protocol.stride_px);
  if (!coarse_first) return bytes;
  return std::max(bytes, bytes_for(coarse_grid({protocol.angles_deg, protocol.stride_px}, cell_px).stride_px));
}

std::string SearchPath::description() const {
  if (kernel->place == match::KernelPlace::kCpu) return "the kernel for CPUs (" + kernel->name + ")";
  if (kernel->place == match::KernelPlace::kGpu) return "the kernel for GPUs on GPU " + std::to_string(device.index());
  return "tensor operations on " + device.str() + ", products of " + inputs_of(precision) + " floats";
}

std::string SearchPath::arithmetic() const {
  const std::string where = device.is_cpu() ? "" : " on " + kind_of(device);
  return kernel->name + where + ", " + inputs_of(precision) + " floats";
}

const match::SearchKernel& agreed_kernel(std::string wanted, std::span<const RankMeans> ranks) {
  const std::string& device = ranks.front().device;
  for (std::size_t rank = 1; rank < ranks.size(); ++rank) {
    if (ranks[rank].device == device) continue;
    throw EnvironmentError("rank " + std::to_string(rank) + " computes on " + ranks[rank].device + ", rank 0 on " +
                           device + ": their scores would differ; give `device` cpu, or cuda where all have a GPU");
  }
  if (wanted == "auto") wanted = device == "cpu" ? "direct" : "tensors";
  if (wanted == "direct") {
    const auto is_common = [&](const match::SearchKernel& kernel) {
      return kernel.place == match::KernelPlace::kCpu &&
             std::ranges::all_of(ranks, [&](const RankMeans& rank) { return has(rank, kernel.name); });
    };
    const auto found = std::ranges::find_if(match::search_kernels(), is_common);
    if (found == match::search_kernels().end()) throw EnvironmentError("no kernel for CPUs runs on every rank");
    return *found;
  }
  const match::SearchKernel* kernel = match::find_kernel(wanted);
  if (kernel == nullptr) {
    std::string names;
    for (const match::SearchKernel& known : match::search_kernels()) names += ", " + known.name;
    throw UsageError("`kernel` " + wanted + ": not one of auto, direct" + names);
  }
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (has(ranks[rank], wanted)) continue;
    throw UsageError("`kernel` " + wanted + ": needs " + kernel->needs + ", which the processor of rank " +
                     std::to_string(rank) + " lacks; `outsole info --kernels` says what a machine can run");
  }
  return *kernel;
}

SearchPath agreed_search_path(const comm::Communicator& comm, const std::string& kernel, const std::string& precision,
                              at::Device device) {
  const std::map<std::string, match::ComputePrecision> precisions = {{"32", match::ComputePrecision::k32},
                                                                     {"tf32", match::ComputePrecision::kTf32},
                                                                     {"16", match::ComputePrecision::k16}};
  const std::vector<std::string> all = comm.all_gather(own_means(device));
  SearchPath path;
  comm.together([&] {
    std::vector<RankMeans> ranks;
    for (const std::string& words : all) ranks.push_back(decode_means(words));
    path.kernel = &agreed_kernel(kernel, ranks);
    if (!precisions.contains(precision)) {
      throw UsageError("`compute_precision` " + precision + ": not one of 32, tf32, 16");
    }
    path.precision = precisions.at(precision);
    if (path.kernel->place == match::KernelPlace::kAnyDevice) {
      path.device = device;
    } else if (path.precision != match::ComputePrecision::k32) {
      throw UsageError("`compute_precision` " + precision +
                       ": the kernels for CPUs compute in 32 bit; add `kernel` tensors");
    }
  });
  return path;
}

MarkMatcher::MarkMatcher(const SearchPath& path, std::vector<match::MarkView> views, const IndexParameters& index,
                         const SearchProtocol& protocol, const match::ChannelModel& channels)
    : mark_(make_ready(path, std::move(views), index, protocol, channels)) {}

}  // namespace outsole::retrieval
