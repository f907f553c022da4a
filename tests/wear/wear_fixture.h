#pragma once
// A prepared store and a model with random weights, for jobs that use wear models.

#include <filesystem>
#include <vector>

#include "../shared_folder.h"
#include "wear/model_file.h"
#include "wear/pairs.h"
#include "wear/prepared_fixture.h"

namespace outsole::wear {

/// Two pairs of shoes over five fortnights, 32 x 40 pixels, in prepared.h5.
class WearTest : public testing::SharedFolder {
 protected:
  static constexpr int kHeight = 32, kWidth = 40;

  void SetUp() override {
    SharedFolder::SetUp();
    prepare([&] { testing::write_prepared(folder_ / "prepared.h5", two_shoes(), kHeight, kWidth); });
  }

  static std::vector<wear::PreparedInfo> two_shoes() {
    std::vector<wear::PreparedInfo> scans;
    for (const char* const shoe : {"a", "bb"}) {
      for (int week = 0; week <= 16; week += 4) scans.push_back(testing::scan_of(shoe, week));
    }
    return scans;
  }

  /// A model that has learned nothing, said to be trained on prepared.h5.
  void write_model(wear::Task task, wear::Split split = wear::Split::kTime) const {
    prepare([&] {
      const wear::WearNetwork network({task, kHeight, kWidth, 8, 2}, 3);
      wear::save_model(folder_ / "model.h5", network,
                       {{"scans_sha256", store::Store(folder_ / "prepared.h5").sha256()},
                        {"split", name_of(split)},
                        {"seed", 1},
                        {"held_out_share", 0.2}});
    });
  }
};

}  // namespace outsole::wear
