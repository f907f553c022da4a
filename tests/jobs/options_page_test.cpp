// docs/options.md is what the program tells.

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "database.h"

namespace outsole::testing {
namespace {

namespace fs = std::filesystem;

using OptionsPage = JobTest;

TEST_F(OptionsPage, IsWhatTheProgramTells) {
  // For docs/options.sh, which would start the program for each job: a program that reads out what was written down.
  const fs::path program = folder_ / "outsole";
  write_bytes(program, "#!/bin/sh\ncat \"" + folder_.string() + "/$1.txt\"\n");
  fs::permissions(program, fs::perms::owner_all);
  const std::string jobs = run({"--help"}).output;
  write_bytes(folder_ / "--help.txt", jobs);
  std::istringstream lines(jobs);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  ")) continue;
    const std::string job = line.substr(2, line.find(' ', 2) - 2);
    write_bytes(folder_ / (job + ".txt"), run({job, "--help"}).output);
  }
  EXPECT_TRUE(fs::exists(folder_ / "search.txt"));
  EXPECT_EQ(std::system((OUTSOLE_OPTIONS_SCRIPT " --check " + program.string()).c_str()), 0);
}

}  // namespace
}  // namespace outsole::testing
