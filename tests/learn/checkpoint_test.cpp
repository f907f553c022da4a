#include "learn/checkpoint.h"

#include <ATen/ATen.h>
#include <c10/util/accumulate.h>
#include <gmock/gmock.h>

#include "comm/communicator.h"
#include "core/errors.h"
#include "message_of.h"
#include "temporary_folder.h"
#include "toy_line.h"

namespace outsole::learn {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using outsole::testing::line_subject;
using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// Two parameters and their optimizer after some steps on made-up gradients.
struct Learnt {
  explicit Learnt(float start) : parameters{tensor("slope", {40, 30}, start), tensor("offset", {3}, start)} {}

  static NamedTensor tensor(const char* name, at::IntArrayRef shape, float start) {
    return {name, (at::arange(c10::multiply_integers(shape), at::kFloat) / 7 + start).view(shape).requires_grad_()};
  }

  void step(float gradient) {
    for (const NamedTensor& parameter : parameters) {
      at::Tensor changed = parameter.tensor;
      changed.mutable_grad() = at::full_like(parameter.tensor, gradient);
    }
    adam.step();
  }

  bool equals(const Learnt& other) const {
    return at::equal(parameters[0].tensor, other.parameters[0].tensor) &&
           at::equal(parameters[1].tensor, other.parameters[1].tensor);
  }

  std::vector<NamedTensor> parameters;
  Adam adam{{parameters[0].tensor, parameters[1].tensor}, {}};
};

class CheckpointFile : public outsole::testing::TemporaryFolder {
 protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    if (!comm::Communicator().is_root()) GTEST_SKIP() << "one rank is enough";
  }

  fs::path path() const { return folder_ / "checkpoint.h5"; }
  void save(const Learnt& learnt, const Position& position = {}) const {
    save_checkpoint(path(), line_subject(), learnt.parameters, learnt.adam, position);
  }
  Position load(Learnt& learnt, const Subject& subject = line_subject()) const {
    return load_checkpoint(path(), subject, learnt.parameters, learnt.adam);
  }
};

TEST_F(CheckpointFile, TakesTrainingUpWhereItWasLeftBitForBit) {
  Learnt straight(1), resumed(2);
  straight.step(0.5F);
  straight.step(-0.1F);
  const Position position{.epoch = 1, .step = 3, .steps = 2, .loss_sum = 0.1, .epoch_loss = 1.0 / 3, .seconds = 9};
  save(straight, position);

  const Position read = load(resumed);
  EXPECT_EQ(read.epoch, 1);
  EXPECT_EQ(read.step, 3);
  EXPECT_EQ(read.steps, 2);
  EXPECT_EQ(read.loss_sum, 0.1);
  EXPECT_EQ(read.epoch_loss, 1.0 / 3);
  EXPECT_EQ(read.seconds, 9);
  straight.step(0.2F);
  resumed.step(0.2F);
  EXPECT_TRUE(resumed.equals(straight));
}

TEST_F(CheckpointFile, OfAnotherRunIsRefusedNamingWhatDiffers) {
  Learnt learnt(1);
  save(learnt);
  EXPECT_THAT(message_of<UsageError>([&] { load(learnt, line_subject(8)); }),
              AllOf(HasSubstr("`seed` is 1 there"), HasSubstr("8 here")));
  Subject more = line_subject();
  more.identity["first_maps"] = 3;
  EXPECT_THAT(message_of<UsageError>([&] { load(learnt, more); }),
              HasSubstr("`first_maps` is not set there and 3 here"));
}

TEST_F(CheckpointFile, OfAnotherStructureIsRefused) {
  Learnt learnt(1);
  save(learnt);
  Subject other = line_subject();
  other.structure["curve"]["inputs"] = 4;
  EXPECT_THAT(message_of<UsageError>([&] { load(learnt, other); }), HasSubstr("another curve"));
}

TEST_F(CheckpointFile, OfAnEarlierVersionSaysLessAndIsRead) {
  Learnt learnt(1), reader(2);
  save(learnt);
  json parameters = store::Store(path(), kCheckpointSchema).header().parameters;
  parameters["curve"].erase("inputs");
  std::vector<NamedTensor> tensors;
  for (const char* prefix : {"weight/", "first_moment/", "second_moment/"}) {
    for (const NamedTensor& parameter : learnt.parameters) {
      const bool is_weight = std::string(prefix) == "weight/";
      tensors.push_back({prefix + parameter.name, is_weight ? parameter.tensor : at::zeros_like(parameter.tensor)});
    }
  }
  save_tensors(path(), {kCheckpointSchema, 1, parameters}, tensors);
  load(reader);
  EXPECT_TRUE(reader.equals(learnt));
}

TEST_F(CheckpointFile, ThatIsDamagedLeavesTheParametersAsTheyWere) {
  Learnt written(1), reader(2);
  written.step(0.5F);
  Position position;
  position.steps = 1;
  save(written, position);
  const std::string shard = "checkpoint.shards/00000.h5";
  std::string bytes = read(folder_ / shard);
  bytes[bytes.size() - 5000] = static_cast<char>(bytes[bytes.size() - 5000] ^ 4);
  write(shard, bytes);
  EXPECT_THAT(message_of<DataError>([&] { load(reader); }), HasSubstr("00000.h5"));
  EXPECT_TRUE(reader.equals(Learnt(2)));
  EXPECT_EQ(reader.adam.state().steps, 0);
}

}  // namespace
}  // namespace outsole::learn
