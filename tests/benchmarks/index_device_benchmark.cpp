// Exemplars of FID-300's size at half scale through ResNet-50 up to the maps that a search compares, packed into blocks
// of an index, against the bare forward pass of images that lie on the device already. Random weights.

#include <ATen/ATen.h>
#include <ATen/Context.h>

#include <string>
#include <vector>

#include "../features/weights_fixture.h"
#include "device_benchmark.h"
#include "features/extractor.h"
#include "learn/precision.h"
#include "match/exemplar_block.h"
#include "match/lanes.h"
#include "retrieval/device_packer.h"

namespace outsole::benchmarks {

namespace {

constexpr std::int64_t kHeightPx = 293, kWidthPx = 135, kBorderCells = 3;

/// As an index of exemplars kept in this type does it: `blocks` of them.
void index(retrieval::DevicePacker& packer, const at::Tensor& images, std::int64_t blocks, const at::Tensor& stored) {
  for (std::int64_t block = 0; block < blocks; ++block) {
    packer.start(images);
    if (packer.under_way() == retrieval::DevicePacker::kMostUnderWay) packer.finish(stored[block % stored.size(0)]);
  }
  while (packer.under_way() > 0) packer.finish(stored[0]);
}

/// One pass after another, maps packed on the host.
void index_on_host(const features::Extractor& extractor, const at::Tensor& images, const at::Tensor& white_response,
                   const at::Device& device, const at::Tensor& block) {
  std::int64_t lane = 0;
  for (const at::Tensor& pass : images.split(8)) {
    const at::Tensor maps = extractor.extract(pass.to(at::kFloat).to(device)).to(at::kCPU);
    match::pack_lanes(maps, white_response, kBorderCells, lane, block);
    lane += pass.size(0);
  }
}

}  // namespace

void measure_indexing(const at::Device& device, Lines& lines) {
  const bool on_gpu = device.is_cuda();
  const features::TemporaryFolder folder;
  features::write_safetensors(folder / "weights", features::random_resnet50(1, 1));
  const auto extractor =
      features::make_extractor({.kind = "resnet50:res2b", .weights_path = folder / "weights", .mean_grey = 200});
  extractor->to(device);
  const std::int64_t exemplars = on_gpu ? match::kLanes : 2, blocks = on_gpu ? 16 : 2;
  const double of_all = static_cast<double>(exemplars * blocks);
  const at::Tensor images = at::empty({exemplars, kHeightPx, kWidthPx}, at::kByte).random_(0, 256);
  const at::Tensor there = images.to(device).to(at::kFloat);
  const at::Tensor white_response = at::zeros({extractor->geometry().channels});
  const std::int64_t height = extractor->map_length(kHeightPx) - 2 * kBorderCells,
                     width = extractor->map_length(kWidthPx) - 2 * kBorderCells;
  for (const learn::Precision precision : {learn::Precision::k32, learn::Precision::kTf32}) {
    if (precision != learn::Precision::k32 && !on_gpu) continue;
    learn::allow_tf32(precision);
    const auto bare_pass_s = [&] {
      return seconds_of([&] { extractor->extract(there); }, device) / static_cast<double>(exemplars);
    };
    const double bare_s = bare_pass_s();
    const auto add = [&](const std::string& way, double image_s) {
      lines.add("indexing", {text("precision", name_of(precision)), text("way", way),
                             number("images_a_second", 1 / image_s, 1), number("of_bare_pass", bare_s / image_s, 3),
                             number("tflops", extractor->flops(kHeightPx, kWidthPx) / image_s / 1e12, 3)});
    };
    add("bare forward pass", bare_s);
    at::globalContext().setBenchmarkCuDNN(true);
    add("bare forward pass, fastest algorithms", bare_pass_s());
    at::globalContext().setBenchmarkCuDNN(false);
    for (const at::ScalarType type : {at::kFloat, at::kHalf}) {
      const at::Tensor stored = at::zeros({2, extractor->geometry().channels, width, height, match::kLanes}, type);
      retrieval::DevicePacker packer(*extractor, {white_response, {}, kBorderCells, type}, device);
      const double all_s = seconds_of([&] { index(packer, images, blocks, stored); }, device);
      add(std::string("blocks of ") + (type == at::kHalf ? "16" : "32") + " bit, packed on the device", all_s / of_all);
    }
    const at::Tensor block = at::zeros({extractor->geometry().channels, width, height, match::kLanes});
    const double host_s = seconds_of([&] { index_on_host(*extractor, images, white_response, device, block); }, device);
    add("blocks of 32 bit, packed on the host", host_s / static_cast<double>(exemplars));
  }
  learn::allow_tf32(learn::Precision::k32);
}

}  // namespace outsole::benchmarks
