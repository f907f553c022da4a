#include "learn/run_folder.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "core/csv.h"

namespace outsole::learn {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;

TEST(History, HasEachEpochOnce) {
  const fs::path path = fs::temp_directory_path() / ("outsole-history-" + std::to_string(getpid()) + ".csv");
  for (std::int64_t epoch = 1; epoch <= 12; ++epoch) {
    append_history(path, {epoch, 3 * epoch, 0.25, {}, 1.5, 80}, "pairs");
  }
  std::ofstream(path, std::ios::app) << "13,39,0.2";  // cut off by a crash
  truncate_history(path, 10);
  append_history(path, {11, 33, 0.125, 0.5, 2, 80}, "pairs");
  const CsvTable table = read_csv(path);
  EXPECT_THAT(table.columns, ElementsAre("epoch", "steps", "loss", "held_out_loss", "seconds", "pairs_per_second"));
  ASSERT_EQ(table.rows.size(), 11U);
  EXPECT_THAT(table.rows[9], ElementsAre("10", "30", "0.25", "", "1.500", "80.00"));
  EXPECT_THAT(table.rows[10], ElementsAre("11", "33", "0.125", "0.5", "2.000", "80.00"));
  fs::remove(path);
}

TEST(History, WhoseHeaderWasCutOffBeginsAnew) {
  const fs::path path = fs::temp_directory_path() / ("outsole-header-" + std::to_string(getpid()) + ".csv");
  std::ofstream(path) << "epoch,st";
  truncate_history(path, 0);
  append_history(path, {1, 3, 0.25, {}, 1.5, 80}, "pairs");
  EXPECT_EQ(read_csv(path).rows.size(), 1U);
  fs::remove(path);
}

}  // namespace
}  // namespace outsole::learn
