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

/// LibTorch's device, then the kernels, a word each. Where the CPU is asked for, no GPU is looked for.
std::string own_means(at::Device device, bool may_use_gpus) {
  std::string words = kind_of(device);
  for (const match::SearchKernel& kernel : match::search_kernels()) {
    if (kernel.place == match::KernelPlace::kGpu && !may_use_gpus) continue;
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
  return path.kernel->make_ready(std::move(views), terms, {path.device, path.precision, path.device_bytes});
}

}  // namespace

bool SearchPath::wants_blocks_on_device() const {
  return kernel->place == match::KernelPlace::kAnyDevice && !device.is_cpu();
}

BlockAccess SearchPath::block_access() const {
  BlockAccess access;
  access.keeps_stored = device.is_cpu();
  if (kernel->place != match::KernelPlace::kAnyDevice) return access;
  access.device = device;
  access.blocks_per_run = match::blocks_per_product(device);
  return access;
}

std::int64_t SearchPath::working_bytes(const IndexParameters& index, std::int64_t channels,
                                       const SearchProtocol& protocol, bool coarse_first) const {
  const std::int64_t cell_px = index.geometry.stride_px;
  const auto bytes_for = [&](std::int64_t stride_px) {
    return kernel->working_bytes(index.frame_cells(), channels, stride_px, at::get_num_threads(), protocol.similarity,
                                 {device, precision, device_bytes});
  };
  const std::int64_t bytes = bytes_for(protocol.stride_px);
  if (!coarse_first) return bytes;
  return std::max(bytes, bytes_for(coarse_grid({protocol.angles_deg, protocol.stride_px}, cell_px).stride_px));
}

std::string SearchPath::description() const {
  if (kernel->place == match::KernelPlace::kCpu) return "the kernel for CPUs (" + kernel->name + ")";
  if (kernel->place == match::KernelPlace::kGpu) return "the kernel for GPUs (tensor cores, 16-bit products)";
  return "tensor operations on " + device.str() + ", products of " + inputs_of(precision) + " floats";
}

std::string SearchPath::arithmetic() const {
  const std::string where = device.is_cpu() ? "" : " on " + kind_of(device);
  return kernel->name + where + ", " + inputs_of(precision) + " floats";
}

namespace {

bool all_have(std::span<const RankMeans> ranks, const match::SearchKernel& kernel) {
  return std::ranges::all_of(ranks, [&](const RankMeans& rank) { return has(rank, kernel.name); });
}

/// The first of a kind that all ranks have; null: there is none.
const match::SearchKernel* first_common(std::span<const RankMeans> ranks, match::KernelPlace place) {
  const auto found = std::ranges::find_if(match::search_kernels(), [&](const match::SearchKernel& kernel) {
    return kernel.place == place && all_have(ranks, kernel);
  });
  return found == match::search_kernels().end() ? nullptr : &*found;
}

const match::SearchKernel& fastest_for_cpus(std::span<const RankMeans> ranks) {
  const match::SearchKernel* const kernel = first_common(ranks, match::KernelPlace::kCpu);
  if (kernel == nullptr) throw EnvironmentError("no kernel for CPUs runs on every rank");
  return *kernel;
}

const match::SearchKernel& chosen_kernel(const SearchPathWish& wish, std::span<const RankMeans> ranks) {
  const match::SearchKernel* const for_gpus = first_common(ranks, match::KernelPlace::kGpu);
  const bool has_precision = wish.precision == "auto" || wish.precision == "16";
  const bool is_known = for_gpus != nullptr && match::knows(*for_gpus, wish.similarity);
  if (is_known && has_precision) return *for_gpus;
  const bool torch_has_gpu = ranks.front().device == "cuda";
  if (wish.device == "cuda" && !torch_has_gpu) {
    throw UsageError("`device` cuda: this build's LibTorch is for CPUs, and the kernel for GPUs computes " +
                     (has_precision ? "no similarity " + match::name_of(wish.similarity) + " (it pools no channels)"
                                    : "in `compute_precision` 16 only") +
                     "; give `device` cpu");
  }
  return torch_has_gpu ? *match::find_kernel("tensors") : fastest_for_cpus(ranks);
}

/// A kernel by its name.
const match::SearchKernel& named_kernel(const std::string& name, std::span<const RankMeans> ranks) {
  const match::SearchKernel* kernel = match::find_kernel(name);
  if (kernel == nullptr) {
    std::string names;
    for (const match::SearchKernel& known : match::search_kernels()) names += ", " + known.name;
    throw UsageError("`kernel` " + name + ": not one of auto, direct" + names);
  }
  for (std::size_t rank = 0; rank < ranks.size(); ++rank) {
    if (has(ranks[rank], name)) continue;
    throw UsageError("`kernel` " + name + ": needs " + kernel->needs + ", which rank " + std::to_string(rank) +
                     " lacks; `outsole info --kernels` says what a machine can run");
  }
  return *kernel;
}

match::ComputePrecision precision_of(const std::string& wanted, const match::SearchKernel& kernel) {
  const std::map<std::string, match::ComputePrecision> precisions = {{"32", match::ComputePrecision::k32},
                                                                     {"tf32", match::ComputePrecision::kTf32},
                                                                     {"16", match::ComputePrecision::k16}};
  const std::string own = kernel.place == match::KernelPlace::kGpu ? "16" : "32";
  if (wanted == "auto") return precisions.at(own);
  if (!precisions.contains(wanted))
    throw UsageError("`compute_precision` " + wanted + ": not one of auto, 32, tf32, 16");
  if (kernel.place != match::KernelPlace::kAnyDevice && wanted != own) {
    throw UsageError("`compute_precision` " + wanted + ": the kernel " + kernel.name + " computes in " + own +
                     " bit; add `kernel` tensors");
  }
  return precisions.at(wanted);
}

}  // namespace

const match::SearchKernel& agreed_kernel(const SearchPathWish& wish, std::span<const RankMeans> ranks) {
  const std::string& device = ranks.front().device;
  for (std::size_t rank = 1; rank < ranks.size(); ++rank) {
    if (ranks[rank].device == device) continue;
    throw EnvironmentError("rank " + std::to_string(rank) + " computes on " + ranks[rank].device + ", rank 0 on " +
                           device + ": their scores would differ; give `device` cpu, or cuda where all have a GPU");
  }
  if (wish.kernel == "auto") return chosen_kernel(wish, ranks);
  if (wish.kernel == "direct") return fastest_for_cpus(ranks);
  const match::SearchKernel& kernel = named_kernel(wish.kernel, ranks);
  if (!match::knows(kernel, wish.similarity)) {
    throw UsageError("`kernel` " + kernel.name + ": does not know `similarity` " + match::name_of(wish.similarity) +
                     ", which pools channels; give `kernel` auto");
  }
  return kernel;
}

SearchPath agreed_search_path(const comm::Communicator& comm, const SearchPathWish& wish, at::Device device) {
  const std::vector<std::string> all = comm.all_gather(own_means(device, wish.device != "cpu"));
  SearchPath path;
  comm.together([&] {
    std::vector<RankMeans> ranks;
    for (const std::string& words : all) ranks.push_back(decode_means(words));
    path.kernel = &agreed_kernel(wish, ranks);
    path.precision = precision_of(wish.precision, *path.kernel);
    if (path.kernel->place == match::KernelPlace::kAnyDevice) path.device = device;
    if (path.kernel->place == match::KernelPlace::kGpu) {
      const int gpu = comm.local_rank() % path.kernel->gpus();
      path.device = at::Device(at::kCUDA, static_cast<at::DeviceIndex>(gpu));
    }
  });
  return path;
}

MarkMatcher::MarkMatcher(const SearchPath& path, std::vector<match::MarkView> views, const IndexParameters& index,
                         const SearchProtocol& protocol, const match::ChannelModel& channels)
    : mark_(make_ready(path, std::move(views), index, protocol, channels)) {}

}  // namespace outsole::retrieval
