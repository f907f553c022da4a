#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>

#include "comm/communicator.h"

namespace outsole::testing {

/// One fresh folder for all ranks, filled by rank 0.
class SharedFolder : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "outsole-test-XXXXXX").string();
    if (comm_.is_root()) {
      ASSERT_NE(mkdtemp(name.data()), nullptr);
    }
    folder_ = comm_.broadcast(name);
  }
  void TearDown() override {
    comm_.barrier();
    if (comm_.is_root()) std::filesystem::remove_all(folder_);
  }

  /// Rank 0 makes the folder's content; all go on when it is there.
  void prepare(const std::function<void()>& fill) const {
    comm_.barrier();
    if (comm_.is_root()) fill();
    comm_.barrier();
  }

  void write(const std::string& name, std::string_view bytes) const {
    std::ofstream(folder_ / name, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }

  comm::Communicator comm_;
  std::filesystem::path folder_;
};

}  // namespace outsole::testing
