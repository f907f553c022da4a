// What training and indexing compute on a GPU, held against the CPU; without a GPU the same code runs on the CPU.

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../features/weights_fixture.h"
#include "core/errors.h"
#include "features/extractor.h"
#include "learn/adam.h"
#include "learn/determinism.h"
#include "learn/pending_number.h"
#include "learn/precision.h"
#include "match/exemplar_block.h"
#include "match/lanes.h"
#include "match/projection.h"
#include "retrieval/device_packer.h"
#include "wear/loss.h"
#include "wear/network.h"
#include "wear/scan_batch.h"

namespace outsole {

namespace {

using learn::Precision;

at::Device device() { return torch::cuda::is_available() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU); }

double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor expected = b.to(at::kCPU, at::kDouble);
  return ((a.to(at::kCPU, at::kDouble) - expected).norm() / expected.norm()).item<double>();
}

/// Of all numbers of tensors that belong together.
double relative_difference(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  const auto flat = [](const std::vector<at::Tensor>& tensors) {
    std::vector<at::Tensor> all;
    for (const at::Tensor& tensor : tensors) all.push_back(tensor.detach().to(at::kCPU).flatten());
    return at::cat(all);
  };
  return relative_difference(flat(a), flat(b));
}

// --- A step of training ---------------------------------------------------------------------------------------------

struct Batch {
  at::Tensor x, times, target, known;

  Batch to(const at::Device& where) const { return {x.to(where), times.to(where), target.to(where), known.to(where)}; }
};

/// Not a multiple of 32 px.
constexpr std::int64_t kHeightPx = 70, kWidthPx = 40, kPairs = 3;

Batch random_batch() {
  at::manual_seed(5);
  const std::vector<std::int64_t> sizes = {kPairs, 1, kHeightPx, kWidthPx};
  return {at::rand(sizes), at::rand({kPairs, 1}), at::rand(sizes), (at::rand(sizes) < 0.9).to(at::kFloat)};
}

struct Step {
  bool recomputes = false, innermost = false;
  double ssim_weight = 0.5;
  wear::NetworkKind kind = wear::NetworkKind::kPaper;
};

/// The gradients of a step on that device, of weights that are the same everywhere.
std::vector<at::Tensor> gradients(const at::Device& where, Precision precision, const Step& step) {
  learn::allow_tf32(precision);
  const wear::NetworkShape shape{.task = wear::Task::kPrediction,
                                 .height_px = kHeightPx,
                                 .width_px = kWidthPx,
                                 .kind = step.kind,
                                 .first_maps = 16};
  const auto network = std::make_shared<wear::WearNetwork>(shape, 3);
  network->to(where);
  const Batch batch = random_batch().to(where);
  const at::Tensor x = step.innermost ? wear::channels_innermost(batch.x) : batch.x;
  const double known = batch.known.sum().item<double>();
  const auto loss_of = [&](const at::Tensor& predicted) {
    return wear::training_loss(predicted, batch.target, batch.known, known, step.ssim_weight).lessened;
  };
  if (step.recomputes) {
    network->add_gradients_recomputing(x, batch.times, nullptr, loss_of);
  } else {
    at::Tensor predicted;
    {
      const learn::MixedPrecision mixed(precision);
      predicted = network->forward(x, batch.times).to(at::kFloat);
    }
    loss_of(predicted).backward();
  }
  std::vector<at::Tensor> result;
  for (const at::Tensor& parameter : network->parameters()) result.push_back(parameter.grad());
  learn::allow_tf32(Precision::k32);
  return result;
}

class StepOnDevice : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { learn::require_determinism(device()); }

  static std::vector<at::Tensor> expected(const Step& step) { return gradients(at::kCPU, Precision::k32, step); }
};

TEST_F(StepOnDevice, GivesTheGradientsOfTheCpuIn32Bit) {
  for (const wear::NetworkKind kind : {wear::NetworkKind::kPaper, wear::NetworkKind::kResidual}) {
    const Step step{.kind = kind};
    EXPECT_LT(relative_difference(gradients(device(), Precision::k32, step), expected(step)), 1e-4);
  }
}

TEST_F(StepOnDevice, GivesTheSameGradientsWhenItRecomputes) {
  for (const wear::NetworkKind kind : {wear::NetworkKind::kPaper, wear::NetworkKind::kResidual}) {
    const Step step{.recomputes = true, .kind = kind};
    EXPECT_LT(relative_difference(gradients(device(), Precision::k32, step), expected({.kind = kind})), 1e-4);
  }
}

TEST_F(StepOnDevice, GivesTheSameGradientsWithChannelsInnermostInMemory) {
  EXPECT_LT(relative_difference(gradients(device(), Precision::k32, {.innermost = true}), expected({})), 1e-4);
}

TEST_F(StepOnDevice, GivesNearlyTheSameGradientsWithRoundedInputs) {
  EXPECT_LT(relative_difference(gradients(device(), Precision::kTf32, {}), expected({})), 2e-2);
  EXPECT_LT(relative_difference(gradients(device(), Precision::kTf32, {.recomputes = true}), expected({})), 2e-2);
  EXPECT_LT(relative_difference(gradients(device(), Precision::kBf16, {}), expected({})), 2e-1);
}

TEST_F(StepOnDevice, GivesTheSameBitsEveryTime) {
  for (const Precision precision : {Precision::k32, Precision::kTf32, Precision::kBf16}) {
    const std::vector<at::Tensor> once = gradients(device(), precision, {}), again = gradients(device(), precision, {});
    for (std::size_t i = 0; i < once.size(); ++i) EXPECT_TRUE(at::equal(once[i], again[i])) << name_of(precision) << i;
  }
}

TEST(AdamOnDevice, StepsAsOnTheCpu) {
  const auto trained = [](const at::Device& where) {
    at::manual_seed(11);
    std::vector<at::Tensor> parameters;
    for (const std::int64_t count : {1, 7, 4096, 70000}) {
      parameters.push_back(at::randn({count}).to(where).requires_grad_());
    }
    learn::Adam adam(parameters, {.learning_rate = 1e-2});
    for (int step = 0; step < 5; ++step) {
      for (at::Tensor& parameter : parameters) parameter.mutable_grad() = at::randn(parameter.sizes()).to(where);
      adam.step(step == 2 ? 0.5 : 1);
    }
    EXPECT_EQ(adam.state().steps, 5);
    std::vector<at::Tensor> all = parameters;
    for (const at::Tensor& moment : adam.state().first_moments) all.push_back(moment);
    for (const at::Tensor& moment : adam.state().second_moments) all.push_back(moment);
    return all;
  };
  const std::vector<at::Tensor> there = trained(device()), here = trained(at::kCPU);
  // LibTorch takes 1 - beta2 in 32 bit: 1.3e-5 less than it is.
  for (std::size_t i = 0; i < here.size(); ++i) EXPECT_LT(relative_difference(there[i], here[i]), 2e-5) << i;
}

TEST(PendingNumber, ArrivesFromTheDevice) {
  const at::Tensor numbers = at::arange(5, at::kFloat).to(device());
  std::vector<learn::PendingNumber> sums;
  for (int i = 0; i < 10; ++i) sums.emplace_back((numbers * i).sum());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(sums[static_cast<std::size_t>(i)].value(), 10 * i);
  EXPECT_EQ(learn::PendingNumber(0.1).value(), 0.1);
}

TEST(ScanBatch, IsTheSameThroughBytes) {
  wear::ByteBatch bytes = wear::new_byte_batch(2, 8, 16, device());
  bytes.grey.copy_(at::arange(256).to(at::kByte).view({2, 1, 8, 16}));
  bytes.known.copy_(at::arange(256).remainder(2).to(at::kByte).view({2, 1, 8, 16}));
  const at::Tensor grey = bytes.grey.clone(), known = bytes.known.clone();
  const wear::ScanBatch batch = wear::on_device(bytes, device());
  bytes = wear::new_byte_batch(2, 8, 16, device());  // must not be the memory that is still being read
  bytes.grey.zero_();
  EXPECT_EQ(batch.grey.device(), device());
  EXPECT_LT((batch.grey.to(at::kCPU) - grey.to(at::kFloat) / 255.0F).abs().max().item<float>(), 1e-7F);
  EXPECT_TRUE(at::equal(batch.known.to(at::kCPU), known.to(at::kFloat)));
}

TEST(Precision, IsReadAsItIsNamed) {
  for (const Precision precision : {Precision::k32, Precision::kTf32, Precision::kBf16}) {
    EXPECT_EQ(learn::parse_precision(name_of(precision)), precision);
  }
  EXPECT_THROW(learn::parse_precision("16"), UsageError);
}

// --- Indexing -------------------------------------------------------------------------------------------------------

class IndexingOnDevice : public ::testing::Test {
 protected:
  static constexpr std::int64_t kBorderCells = 2;

  IndexingOnDevice() {
    learn::allow_tf32(Precision::k32);
    features::write_safetensors(folder_ / "weights", features::random_resnet50(1, 0));
    at::manual_seed(2);
    images_ = at::empty({match::kLanes, 61, 45}, at::kByte).random_(0, 256);
    for (const char* convention : {"caffe", "torchvision"}) extractors_.push_back(make(convention));
    white_response_ = at::randn({extractors_[0]->geometry().channels});
  }

  std::unique_ptr<features::Extractor> make(const std::string& convention) const {
    return features::make_extractor({.kind = "resnet50:res2a",
                                     .weights_path = folder_ / "weights",
                                     .weights_convention = convention,
                                     .mean_grey = 200});
  }

  /// As match::pack_lanes does it on the CPU.
  std::pair<at::Tensor, match::ChannelSums> expected(const features::Extractor& extractor,
                                                     const at::Tensor& images) const {
    const at::Tensor maps = extractor.extract(images.to(at::kFloat));
    at::Tensor block = at::zeros(
        {maps.size(1), maps.size(3) - 2 * kBorderCells, maps.size(2) - 2 * kBorderCells, match::kLanes}, at::kFloat);
    match::ChannelSums sums = match::pack_lanes(maps, white_response_, kBorderCells, 0, block);
    return {block, sums};
  }

  features::TemporaryFolder folder_;
  at::Tensor images_, white_response_;
  std::vector<std::unique_ptr<features::Extractor>> extractors_;
};

TEST_F(IndexingOnDevice, MapsOfABatchAreThoseOfTheCpu) {
  for (const auto& extractor : extractors_) {
    const at::Tensor expected = extractor->extract(images_.to(at::kFloat));
    extractor->to(device());
    const at::Tensor maps = extractor->extract(images_.to(device()).to(at::kFloat));
    ASSERT_EQ(maps.sizes(), expected.sizes());
    EXPECT_LT(relative_difference(maps, expected), 1e-4);
  }
}

TEST_F(IndexingOnDevice, PacksBlocksAsTheCpuDoes) {
  const auto& extractor = extractors_[0];
  const std::vector<at::Tensor> blocks = {images_, images_.flip(0), images_.narrow(0, 3, 5)};
  std::vector<std::pair<at::Tensor, match::ChannelSums>> wanted;
  for (const at::Tensor& images : blocks) wanted.push_back(expected(*extractor, images));
  extractor->to(device());
  for (const at::ScalarType type : {at::kFloat, at::kHalf}) {
    retrieval::DevicePacker packer(*extractor, {white_response_, {}, kBorderCells, type}, device());
    std::size_t finished = 0;
    const auto finish = [&] {
      const at::Tensor stored = at::full(wanted[finished].first.sizes(), 7, type);
      const match::ChannelSums sums = packer.finish(stored);
      const double most = type == at::kFloat ? 1e-4 : 1e-3;
      EXPECT_LT(relative_difference(stored, wanted[finished].first), most);
      EXPECT_LT(relative_difference(sums.sum, wanted[finished].second.sum), 1e-4);
      EXPECT_LT(relative_difference(sums.square_sum, wanted[finished].second.square_sum), 1e-4);
      ++finished;
    };
    for (const at::Tensor& images : blocks) {
      packer.start(images);
      if (packer.under_way() == retrieval::DevicePacker::kMostUnderWay) finish();
    }
    while (packer.under_way() > 0) finish();
    EXPECT_EQ(finished, blocks.size());
  }
}

TEST_F(IndexingOnDevice, ProjectsAsTheCpuDoes) {
  const auto& extractor = extractors_[0];
  const at::Tensor projection = at::randn({5, white_response_.numel()});
  const at::Tensor projected = match::project_channels(projection, expected(*extractor, images_).first);
  extractor->to(device());
  retrieval::DevicePacker packer(*extractor, {white_response_, projection, kBorderCells, at::kFloat}, device());
  packer.start(images_);
  const at::Tensor stored = at::empty_like(projected);
  const match::ChannelSums sums = packer.finish(stored);
  EXPECT_LT(relative_difference(stored, projected), 1e-4);
  EXPECT_LT(relative_difference(sums.square_sum, projected.to(at::kDouble).square().sum({1, 2, 3})), 1e-4);
}

}  // namespace

}  // namespace outsole
