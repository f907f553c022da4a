#include "wear/model_file.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gmock/gmock.h>

#include "comm/communicator.h"
#include "core/errors.h"
#include "learn/checkpoint.h"
#include "message_of.h"
#include "store/store.h"
#include "temporary_folder.h"

namespace outsole::wear {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using outsole::testing::message_of;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr NetworkShape kShape{Task::kReconstruction, 40, 33, 4, 2, NetworkKind::kResidual, 6};
const json kTraining{{"seed", 7}, {"split", "time"}};

bool have_equal_weights(const WearNetwork& a, const WearNetwork& b) {
  const auto left = a.parameters(), right = b.parameters();
  for (std::size_t i = 0; i < left.size(); ++i) {
    if (!left[i].equal(right[i])) return false;
  }
  return left.size() == right.size();
}

/// The columns of a model, to be spoilt.
store::Columns columns_of(const WearNetwork& network) {
  std::vector<std::string> names;
  std::vector<std::int64_t> shapes, ranks, lengths;
  std::vector<float> values;
  for (const auto& parameter : network.named_parameters()) {
    const at::Tensor& tensor = parameter.value();
    names.push_back(parameter.key());
    shapes.insert(shapes.end(), tensor.sizes().begin(), tensor.sizes().end());
    ranks.push_back(tensor.dim());
    values.insert(values.end(), tensor.data_ptr<float>(), tensor.data_ptr<float>() + tensor.numel());
    lengths.push_back(tensor.numel());
  }
  const std::vector<std::int64_t> rows{std::ssize(names)};
  return {{"name", {rows, names, {}}}, {"shape", {rows, shapes, ranks}}, {"values", {rows, values, lengths}}};
}

class ModelFile : public outsole::testing::TemporaryFolder {
 protected:
  void SetUp() override {
    TemporaryFolder::SetUp();
    if (!comm::Communicator().is_root()) GTEST_SKIP() << "one rank is enough";
  }

  void write_strange(std::int32_t version, const json& parameters, const store::Columns& columns) const {
    fs::remove_all(folder_ / "strange.shards");
    fs::remove(folder_ / "strange.h5");
    store::StoreWriter writer(folder_ / "strange.h5", {kModelSchema, version, parameters}, 1, true);
    writer.write_unit(0, columns);
    writer.finish();
  }

  /// What is said to a file that only a stranger would write.
  std::string refusal_of(const json& parameters, const store::Columns& columns) {
    write_strange(2, parameters, columns);
    const std::string message = message_of<DataError>([&] { load_model(folder_ / "strange.h5"); });
    EXPECT_THAT(message, HasSubstr("strange.h5"));
    return message;
  }

  json parameters() const {
    return {{"training", kTraining},
            {"network",
             {{"task", "reconstruction"},
              {"height_px", 40},
              {"width_px", 33},
              {"time_hidden", 4},
              {"time_maps", 2},
              {"kind", "residual"},
              {"first_maps", 6}}}};
  }
  json with(const char* name, const json& value) const {
    json changed = parameters();
    changed["network"][name] = value;
    return changed;
  }
  fs::path shard() const { return folder_ / "model.shards" / "00000.h5"; }

  void save() { save_model(folder_ / "model.h5", network_, kTraining); }

  WearNetwork network_{kShape, 5};
};

TEST_F(ModelFile, GivesBackTheNetworkBitForBit) {
  save();
  const Model model = load_model(folder_ / "model.h5");
  EXPECT_EQ(model.network->shape(), kShape);
  EXPECT_TRUE(have_equal_weights(*model.network, network_));
  EXPECT_EQ(model.training, kTraining);
  EXPECT_EQ(learn::training_of(store::Store(folder_ / "model.h5", kModelSchema)), kTraining);
}

TEST_F(ModelFile, OfVersion1IsThePapersNetwork) {
  const NetworkShape shape{Task::kReconstruction, 40, 33, 4, 2};
  const WearNetwork network(shape, 5);
  json old = parameters();
  old["network"].erase("kind");
  old["network"].erase("first_maps");
  write_strange(1, old, columns_of(network));
  const Model model = load_model(folder_ / "strange.h5");
  EXPECT_EQ(model.network->shape(), shape);
  EXPECT_TRUE(have_equal_weights(*model.network, network));
}

TEST_F(ModelFile, ReplacesAnOlderOneAndLeavesNothingElse) {
  save();
  const WearNetwork other(kShape, 6);
  save_model(folder_ / "model.h5", other, {{"seed", 8}});
  const Model model = load_model(folder_ / "model.h5");
  EXPECT_TRUE(have_equal_weights(*model.network, other));
  EXPECT_EQ(model.training.at("seed"), 8);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
}

TEST_F(ModelFile, OfTheSameWeightsHasTheSameBytes) {
  save();
  const std::string first = read(folder_ / "model.h5") + read(shard());
  save();
  EXPECT_EQ(read(folder_ / "model.h5") + read(shard()), first);
}

TEST_F(ModelFile, WithWeightsThatAreNotFiniteIsNotWrittenAndTheOldOneStays) {
  save();
  WearNetwork broken(kShape, 5);
  {
    const c10::NoGradGuard no_gradients;
    broken.parameters()[3].view(-1)[0] = std::numeric_limits<float>::quiet_NaN();
  }
  EXPECT_THAT(message_of<DataError>([&] { save_model(folder_ / "model.h5", broken, kTraining); }),
              AllOf(HasSubstr("model.h5"), HasSubstr(broken.named_parameters().keys()[3]), HasSubstr("finite")));
  EXPECT_TRUE(have_equal_weights(*load_model(folder_ / "model.h5").network, network_));
}

TEST_F(ModelFile, ThatIsTruncatedAlteredOrForeignIsRefusedByName) {
  save();
  const std::string bytes = read(shard());
  for (const std::size_t length : {bytes.size() - 1, bytes.size() / 2, std::size_t{0}}) {
    write("model.shards/00000.h5", bytes.substr(0, length));
    EXPECT_THAT(message_of<DataError>([&] { load_model(folder_ / "model.h5"); }), HasSubstr("00000.h5"));
  }
  std::string altered = bytes;
  altered[bytes.size() / 2] = static_cast<char>(altered[bytes.size() / 2] ^ 1);
  write("model.shards/00000.h5", altered);
  EXPECT_THAT(message_of<DataError>([&] { load_model(folder_ / "model.h5"); }), HasSubstr("00000.h5"));
  write("model.h5", "a photograph");
  EXPECT_THAT(message_of<DataError>([&] { load_model(folder_ / "model.h5"); }), HasSubstr("model.h5"));
  EXPECT_THAT(message_of<DataError>([&] { load_model(folder_ / "none.h5"); }), HasSubstr("none.h5"));
}

TEST_F(ModelFile, ThatIsACheckpointIsRefused) {
  const learn::Adam adam(network_.parameters(), {});
  learn::Subject subject;
  subject.identity = kTraining;
  subject.structure = structure_of(kShape);
  learn::save_checkpoint(folder_ / "model.h5", subject, weights_of(network_), adam, {});
  EXPECT_THAT(message_of<DataError>([&] { load_model(folder_ / "model.h5"); }), HasSubstr("outsole.checkpoint"));
}

TEST_F(ModelFile, WithAnImpossibleNetworkIsRefusedBeforeMemoryIsTaken) {
  const store::Columns columns{{"name", {{1}, std::vector<std::string>{"a"}, {}}},
                               {"shape", {{1}, std::vector<std::int64_t>{1}, {1}}},
                               {"values", {{1}, std::vector<float>{1}, {1}}}};
  EXPECT_THAT(refusal_of(with("height_px", 1'000'000'000'000), columns), HasSubstr("height_px"));
  EXPECT_THAT(refusal_of(with("width_px", -33), columns), HasSubstr("width_px"));
  EXPECT_THAT(refusal_of(with("time_hidden", 0), columns), HasSubstr("time_hidden"));
  EXPECT_THAT(refusal_of(with("time_maps", 1.5), columns), HasSubstr("time_maps"));
  EXPECT_THAT(refusal_of(with("time_maps", std::uint64_t{1} << 63), columns), HasSubstr("time_maps"));
  EXPECT_THAT(refusal_of(with("task", 3), columns), HasSubstr("task"));
  EXPECT_THAT(refusal_of(with("kind", "transformer"), columns), HasSubstr("kind"));
  EXPECT_THAT(refusal_of(with("first_maps", 513), columns), HasSubstr("first_maps"));
  EXPECT_THAT(refusal_of(with("first_maps", 512), columns), HasSubstr("more weights than the file"));
  // Each length is possible, the network is not: 2^16 x 2^12 x 2^24 weights.
  json huge = with("height_px", 1 << 17);
  huge["network"].update({{"width_px", 1 << 17}, {"time_hidden", 1 << 16}, {"time_maps", 1 << 12}});
  EXPECT_THAT(refusal_of(huge, columns), HasSubstr("more weights than the file"));
  EXPECT_THAT(refusal_of({{"training", kTraining}}, columns), HasSubstr("network"));
  EXPECT_THAT(refusal_of(json::array(), columns), HasSubstr("network"));
  json mute = parameters();
  mute["training"] = "secret";
  EXPECT_THAT(refusal_of(mute, columns_of(network_)), HasSubstr("training"));
}

TEST_F(ModelFile, WhoseTensorsDoNotFitTheNetworkIsRefusedNamingTheTensor) {
  const std::string first = network_.named_parameters().keys()[0];

  store::Columns renamed = columns_of(network_);
  std::get<std::vector<std::string>>(renamed["name"].values)[0] = "stranger";
  EXPECT_THAT(refusal_of(parameters(), renamed), HasSubstr("stranger"));

  store::Columns doubled = columns_of(network_);
  std::get<std::vector<std::string>>(doubled["name"].values)[1] = first;
  EXPECT_THAT(refusal_of(parameters(), doubled), AllOf(HasSubstr(first), HasSubstr("twice")));

  for (const std::int64_t length : {std::int64_t{-32}, std::int64_t{1} << 62, std::int64_t{31}}) {
    store::Columns reshaped = columns_of(network_);
    std::get<std::vector<std::int64_t>>(reshaped["shape"].values)[0] = length;
    EXPECT_THAT(refusal_of(parameters(), reshaped), AllOf(HasSubstr(first), HasSubstr("shape")));
  }

  store::Columns shifted = columns_of(network_);
  ++shifted["values"].row_lengths[0];
  --shifted["values"].row_lengths[1];
  EXPECT_THAT(refusal_of(parameters(), shifted), AllOf(HasSubstr(first), HasSubstr("values")));

  store::Columns infinite = columns_of(network_);
  std::get<std::vector<float>>(infinite["values"].values)[0] = std::numeric_limits<float>::infinity();
  EXPECT_THAT(refusal_of(parameters(), infinite), AllOf(HasSubstr(first), HasSubstr("finite")));
}

}  // namespace
}  // namespace outsole::wear
