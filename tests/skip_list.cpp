// Linked into every test program: what is skipped, and why, goes to the file that OUTSOLE_SKIPPED names, so that
// tests/run.sh can end with one list.

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace outsole::testing {
namespace {

class SkipList : public ::testing::EmptyTestEventListener {
  void OnTestEnd(const ::testing::TestInfo& test) override {
    const char* path = std::getenv("OUTSOLE_SKIPPED");
    const char* rank = std::getenv("OMPI_COMM_WORLD_RANK");
    if (path == nullptr || !test.result()->Skipped() || (rank != nullptr && std::string(rank) != "0")) return;
    std::string line = std::string(test.test_suite_name()) + '.' + test.name() + ": ";
    for (int i = 0; i < test.result()->total_part_count(); ++i) {
      const auto& part = test.result()->GetTestPartResult(i);
      if (part.skipped()) line += part.message();
    }
    for (char& c : line) {
      if (c == '\n') c = ' ';
    }
    std::ofstream(path, std::ios::app) << line + '\n';  // one write a line: programs and ranks share the file
  }
};

[[maybe_unused]] const bool is_listening = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new SkipList);
  return true;
}();

}  // namespace
}  // namespace outsole::testing
