#include "retrieval/search_path.h"

#include <ATen/Parallel.h>

#include <map>

#include "core/errors.h"
#include "match/support.h"

namespace outsole::retrieval {

namespace {

using Mark = std::variant<match::PreparedMark, match::TensorMark>;

Mark prepare(const SearchPath& path, std::vector<match::MarkView> views, const match::FrameCells& frame,
             std::int64_t erosion_radius, const match::ChannelModel& channels) {
  if (!path.in_tensors) return match::PreparedMark(std::move(views), frame, erosion_radius, channels);
  return match::TensorMark(std::move(views), frame, erosion_radius, channels, path.device, path.precision);
}

}  // namespace

BlockAccess SearchPath::block_access() const {
  if (!in_tensors) return {};
  return {device, match::blocks_per_product(device)};
}

std::int64_t SearchPath::working_bytes(const IndexParameters& index) const {
  if (in_tensors) return match::product_working_bytes(index.block_floats(), device, precision);
  return at::get_num_threads() * match::search_working_bytes(index.frame_cells());
}

std::string SearchPath::description() const {
  if (!in_tensors) return "the kernel for CPUs (" + match::kernel_instructions() + ")";
  const std::map<match::ComputePrecision, std::string> inputs = {{match::ComputePrecision::k32, "32-bit"},
                                                                 {match::ComputePrecision::kTf32, "TF32"},
                                                                 {match::ComputePrecision::k16, "16-bit"}};
  return "tensor operations on " + device.str() + ", products of " + inputs.at(precision) + " floats";
}

SearchPath choose_search_path(const std::string& kernel, const std::string& precision, at::Device device) {
  const std::map<std::string, match::ComputePrecision> precisions = {{"32", match::ComputePrecision::k32},
                                                                     {"tf32", match::ComputePrecision::kTf32},
                                                                     {"16", match::ComputePrecision::k16}};
  if (kernel != "auto" && kernel != "direct" && kernel != "tensors") {
    throw UsageError("--kernel " + kernel + ": not one of auto, direct, tensors");
  }
  if (!precisions.contains(precision)) {
    throw UsageError("--compute-precision " + precision + ": not one of 32, tf32, 16");
  }
  SearchPath path;
  path.in_tensors = kernel == "tensors" || (kernel == "auto" && device.is_cuda());
  path.precision = precisions.at(precision);
  if (path.in_tensors) {
    path.device = device;
  } else if (path.precision != match::ComputePrecision::k32) {
    throw UsageError("--compute-precision " + precision +
                     ": the kernel for CPUs computes in 32 bit; add --kernel tensors");
  }
  return path;
}

MarkMatcher::MarkMatcher(const SearchPath& path, std::vector<match::MarkView> views, const IndexParameters& index,
                         const SearchProtocol& protocol, const match::ChannelModel& channels)
    : mark_(prepare(path, std::move(views), index.frame_cells(),
                    match::erosion_radius_cells(index.map_height, index.map_width, protocol.erosion_fraction),
                    channels)) {}

double MarkMatcher::useful_flops_per_exemplar() const {
  return std::visit([](const auto& mark) { return mark.useful_flops_per_exemplar(); }, mark_);
}

void MarkMatcher::search(std::span<const at::Tensor> blocks, std::span<match::BestPose> best) const {
  std::visit([&](const auto& mark) { match::search_blocks(mark, blocks, best); }, mark_);
}

}  // namespace outsole::retrieval
