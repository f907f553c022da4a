#include "retrieval/device_packer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "match/lanes.h"
#include "match/projection.h"

namespace outsole::retrieval {

namespace {

/// Some at a time where images are large, so that the maps of the first layers find room.
at::Tensor maps_of(const features::Extractor& extractor, const at::Tensor& images) {
  constexpr std::int64_t kPixelsPerPass = std::int64_t{1} << 23;
  const std::int64_t images_per_pass =
      std::clamp<std::int64_t>(kPixelsPerPass / (images.size(1) * images.size(2)), 1, images.size(0));
  std::vector<at::Tensor> maps;
  for (const at::Tensor& pass : images.split(images_per_pass)) maps.push_back(extractor.extract(pass.to(at::kFloat)));
  return maps.size() == 1 ? maps.front() : at::cat(maps);
}

/// [2, channels]: of each channel the sum, and that of the squares.
at::Tensor channel_sums(const at::Tensor& maps, at::IntArrayRef all_but_channels) {
  return at::stack({at::sum(maps, all_but_channels, false, at::kDouble),
                    at::linalg_vector_norm(maps, 2, all_but_channels, false, at::kDouble).square()});
}

/// [n, C, H, W] -> [C, W, H, kLanes]; lanes without an image are zero.
at::Tensor packed(const at::Tensor& maps, const at::Tensor& white_response, std::int64_t border_cells) {
  const auto without_border = [&](const at::Tensor& all, std::int64_t axis) {
    return all.narrow(axis, border_cells, all.size(axis) - 2 * border_cells);
  };
  const at::Tensor inner = without_border(without_border(maps, 2), 3).permute({1, 3, 2, 0});
  const std::array sizes{inner.size(0), inner.size(1), inner.size(2), match::kLanes};
  const bool is_full = maps.size(0) == match::kLanes;
  const at::Tensor block = is_full ? at::empty(sizes, maps.options()) : at::zeros(sizes, maps.options());
  at::Tensor lanes = block.narrow(3, 0, maps.size(0));
  at::sub_out(lanes, inner, white_response.view({-1, 1, 1, 1}));
  return block;
}

}  // namespace

DevicePacker::DevicePacker(const features::Extractor& extractor, const Terms& terms, at::Device device)
    : extractor_(extractor), terms_(terms), device_(device) {
  terms_.white_response = terms.white_response.to(device);
  if (terms.projection.defined()) terms_.projection = terms.projection.to(device);
  if (device.is_cuda()) copies_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

void DevicePacker::start(const at::Tensor& images) {
  ensure(blocks_.size() < kMostUnderWay, "no more blocks than there is memory for");
  ensure(images.size(0) <= match::kLanes, "a block holds too many exemplars");
  const c10::NoGradGuard no_gradients;
  const bool on_gpu = device_.is_cuda();
  const at::Tensor sent = on_gpu ? images.pin_memory().to(device_, at::kByte, /*non_blocking=*/true) : images;
  const at::Tensor maps = maps_of(extractor_, sent);
  at::Tensor sums = channel_sums(maps, {0, 2, 3});
  at::Tensor block = packed(maps, terms_.white_response, terms_.border_cells);
  if (terms_.projection.defined()) {
    // What is not finite would be lost in sums of the projected maps alone.
    const at::Tensor unharmed = sums[1].sum() * 0;
    block = match::project_channels(terms_.projection, block);
    sums = channel_sums(block, {1, 2, 3}) + unharmed;
  }
  if (terms_.stored_as == at::kHalf) block = block.clamp_(-65504.0, 65504.0).to(at::kHalf);
  blocks_.push_back(on_gpu ? on_its_way(block, sums) : Block{block, sums, {}});
}

DevicePacker::Block DevicePacker::on_its_way(const at::Tensor& maps, const at::Tensor& sums) const {
  const c10::impl::VirtualGuardImpl runtime(device_.type());
  c10::Event made(device_.type());
  made.record(runtime.getStream(device_));
  made.block(*copies_);
  const c10::StreamGuard beside(*copies_);
  const auto on_host = [&](const at::Tensor& of_device) {
    const at::Tensor copy = at::empty(of_device.sizes(), of_device.options().device(at::kCPU).pinned_memory(true));
    copy.copy_(of_device, /*non_blocking=*/true);
    of_device.record_stream(*copies_);  // its memory is not given to others before
    return copy;
  };
  Block block{on_host(maps), on_host(sums), {}};
  block.arrived.emplace(device_.type());
  block.arrived->record(*copies_);
  return block;
}

match::ChannelSums DevicePacker::finish(const at::Tensor& stored) {
  ensure(!blocks_.empty(), "a block that was started");
  const Block block = std::move(blocks_.front());
  blocks_.pop_front();
  while (block.arrived && !block.arrived->query()) std::this_thread::sleep_for(std::chrono::microseconds(20));
  stored.copy_(block.maps);
  return {block.sums[0].clone(), block.sums[1].clone()};
}

}  // namespace outsole::retrieval
