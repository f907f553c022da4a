#pragma once

#include <torch/nn.h>

#include <cstdint>

#include "wear/network.h"

namespace outsole::benchmarks {

/// The paper's network as anyone would write it, of LibTorch's layers, with their weights. Images are padded by whoever
/// calls it to sides that are multiples of 32.
struct StockNetwork : torch::nn::Module {
  explicit StockNetwork(const wear::NetworkShape& shape) : time_maps(shape.time_maps) {
    using namespace torch::nn;
    std::int64_t maps = 1;
    for (const std::int64_t next : wear::encoder_maps(shape)) {
      encoder->push_back(Conv2d(Conv2dOptions(maps, next, 4).stride(2).padding(1)));
      encoder->push_back(ReLU());
      maps = next;
    }
    const auto coarse = [](std::int64_t side_px) { return (side_px + wear::kSizeStep - 1) / wear::kSizeStep; };
    const std::int64_t cells = coarse(shape.height_px) * coarse(shape.width_px);
    time = Sequential(Linear(wear::time_inputs(shape.task), shape.time_hidden), ReLU(),
                      Linear(shape.time_hidden, time_maps * cells), ReLU());
    maps += time_maps;
    for (const std::int64_t next : wear::decoder_maps(shape)) {
      decoder->push_back(ConvTranspose2d(ConvTranspose2dOptions(maps, next, 4).stride(2).padding(1)));
      if (next > 1) decoder->push_back(ReLU());
      maps = next;
    }
    decoder->push_back(Sigmoid());
    register_module("encoder", encoder);
    register_module("time", time);
    register_module("decoder", decoder);
  }

  torch::Tensor forward(const torch::Tensor& x, const torch::Tensor& weeks) {
    const torch::Tensor maps = encoder->forward(x);
    const torch::Tensor when = time->forward(weeks).view({x.size(0), time_maps, maps.size(2), maps.size(3)});
    return decoder->forward(torch::cat({maps, when}, 1));
  }

  std::int64_t time_maps;
  torch::nn::Sequential encoder, time, decoder;
};

}  // namespace outsole::benchmarks
