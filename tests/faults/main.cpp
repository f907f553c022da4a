// fault_drills [PART/PARTS] [xTIMES] [WORD]: breaks jobs in every way of the matrix, and prints it. With PART/PARTS
// only every PARTS-th drill, with xTIMES each so many times, with WORD only those whose fault, phase or job holds it.
// Ends with 1 when a drill went wrong.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "drill.h"

namespace outsole::testing {
namespace {

struct Selection {
  std::size_t part = 0, parts = 1;
  unsigned times = 1;
  std::string word;

  bool takes(std::size_t number, const Drill& drill) const {
    return number % parts == part &&
           (drill.fault + "|" + drill.phase + "|" + drill.job).find(word) != std::string::npos;
  }
};

Selection parse(int argc, char** argv) {
  Selection selection;
  for (int i = 1; i < argc; ++i) {
    unsigned part = 0, parts = 0;
    if (std::sscanf(argv[i], "%u/%u", &part, &parts) == 2 && part >= 1 && part <= parts) {
      selection.part = part - 1;
      selection.parts = parts;
    } else if (unsigned times = 0; std::sscanf(argv[i], "x%u", &times) == 1 && times >= 1) {
      selection.times = times;
    } else {
      selection.word = argv[i];
    }
  }
  return selection;
}

const char* word_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kSameBytes:
      return "same";
    case Outcome::kRefused:
      return "refused";
    case Outcome::kSkipped:
      return "skipped";
  }
  return "";
}

using Row = std::pair<std::string, std::string>;  // fault, phase

void print_matrix(const std::vector<std::string>& jobs, const std::vector<Row>& rows,
                  const std::map<std::pair<Row, std::string>, std::string>& cells) {
  std::printf("\n%-32s %-16s", "fault", "phase");
  for (const std::string& job : jobs) std::printf(" %-8s", job.c_str());
  std::printf("\n");
  for (const Row& row : rows) {
    std::printf("%-32s %-16s", row.first.c_str(), row.second.c_str());
    for (const std::string& job : jobs) {
      const auto cell = cells.find({row, job});
      std::printf(" %-8s", cell == cells.end() ? "" : cell->second.c_str());
    }
    std::printf("\n");
  }
}

int run(const Selection& selection) {
  Drills drills;
  const std::vector<Drill> all = all_drills(drills);
  std::vector<Row> rows;
  std::map<std::pair<Row, std::string>, std::string> cells;
  int failures = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Drill& drill = all[i];
    if (!selection.takes(i, drill)) continue;
    const Row row = {drill.fault, drill.phase};
    if (std::ranges::find(rows, row) == rows.end()) rows.push_back(row);
    std::string& cell = cells[{row, drill.job}];
    try {
      for (unsigned time = 0; time < selection.times; ++time) cell = word_of(drill.run());
      std::printf("%s, %s, %s: %s\n", drill.job.c_str(), drill.fault.c_str(), drill.phase.c_str(), cell.c_str());
    } catch (const std::exception& failure) {
      cell = "FAILED";
      ++failures;
      std::printf("FAILED %s, %s, %s: %s\n", drill.job.c_str(), drill.fault.c_str(), drill.phase.c_str(),
                  failure.what());
    }
    std::fflush(stdout);
  }
  std::vector<std::string> jobs;
  for (const DrilledJob& job : drills.jobs()) jobs.push_back(job.name);
  print_matrix(jobs, rows, cells);
  std::printf(
      "\n%zu of %zu drills, %d failed. same: the bytes of an undisturbed run; refused: an error that names the "
      "culprit, "
      "and nothing lost\n",
      cells.size(), all.size(), failures);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace outsole::testing

int main(int argc, char** argv) {
  const auto selection = outsole::testing::parse(argc, argv);
  try {
    return outsole::testing::run(selection);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return EXIT_FAILURE;
  }
}
