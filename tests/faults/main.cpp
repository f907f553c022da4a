// fault_drills [PART/PARTS] [xTIMES] [log=FILE] [WORD]: breaks jobs in every way of the matrix, and prints it. With
// PART/PARTS only every PARTS-th drill, with xTIMES each so many times, with WORD only those whose fault, phase or job
// holds it. With log=FILE outcomes are kept there, and what went well once is not drilled again. Ends with 1 when a
// drill went wrong.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "drill.h"

namespace outsole::testing {
namespace {

struct Selection {
  std::size_t part = 0, parts = 1;
  unsigned times = 1;
  std::string log, word;

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
    } else if (std::string_view(argv[i]).starts_with("log=")) {
      selection.log = argv[i] + 4;
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

using Row = std::pair<std::string, std::string>;                   // fault, phase
using Cells = std::map<std::pair<Row, std::string>, std::string>;  // and job: the outcome

/// The outcomes of earlier runs that went well: lines of fault|phase|job|outcome.
Cells read_log(const std::string& path) {
  Cells cells;
  std::ifstream file(path);
  for (std::string fault, phase, job, word; std::getline(file, fault, '|') && std::getline(file, phase, '|') &&
                                            std::getline(file, job, '|') && std::getline(file, word);) {
    if (word != "FAILED") cells[{{fault, phase}, job}] = word;
  }
  return cells;
}

void print_matrix(const std::vector<std::string>& jobs, const std::vector<Row>& rows, const Cells& cells) {
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
  Cells cells = read_log(selection.log);
  std::ofstream log(selection.log, std::ios::app);
  int failures = 0;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Drill& drill = all[i];
    const Row row = {drill.fault, drill.phase};
    const bool is_known = cells.contains({row, drill.job});
    if (!is_known && !selection.takes(i, drill)) continue;
    if (std::ranges::find(rows, row) == rows.end()) rows.push_back(row);
    if (is_known) continue;
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
    log << drill.fault << '|' << drill.phase << '|' << drill.job << '|' << cell << std::endl;
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
