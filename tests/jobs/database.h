#pragma once
// A small database that the tests of jobs share: synthetic exemplars, ingested and indexed, and marks searched in it.

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "files.h"
#include "run_job.h"

namespace outsole::testing {

/// Made at first use, by the jobs themselves on all ranks, which must all call then; it must not be written to. Its
/// folder holds
///   images/      33 exemplars of 96 x 48 px: two blocks; among them 7.png and 07.png
///   marks/       mark00001.png ... and labels.csv
///   exemplars.h5 index.h5 (scattering) results.h5
///   scans.h5     two of the images as scans of one shoe
///   small.h5     prepared scans (prepared_scans.h), and run/model.h5, trained on them for an epoch
///   weights.safetensors, other.safetensors (ResNet-50 up to res2a, random), resnet.h5 (index by the former)
class Database {
 public:
  static const std::filesystem::path& folder();

 private:
  Database();
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  void write_files() const;  // what no job makes

  comm::Communicator comm_;
  std::filesystem::path folder_;
};

/// A fresh folder for jobs to run in, removed at the end of the test.
class JobTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  /// Runs a job within this process; with ranks the program, under mpirun.
  JobResult run(const std::vector<std::string>& arguments, int ranks = 0) const;
  /// Runs a job that must succeed.
  void expect_done(const std::vector<std::string>& arguments, int ranks = 0) const;

  std::filesystem::path folder_;
};

}  // namespace outsole::testing
