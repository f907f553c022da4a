#pragma once
// Which marks finished results hold already, so that a search onto them adds only those that they do not.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.h"

namespace outsole::retrieval {

/// Marks as results list them: every one that a search was given, found or left out.
struct GivenMarks {
  std::vector<std::string> id;
  std::vector<std::string> sha256;  // of image and mask
};

struct EarlierMarks {
  std::int64_t units = 0;  // of the results there are; 0: none
  // On rank 0 alone:
  std::vector<std::filesystem::path> files;  // all marks given now, those of the results among them
  std::vector<std::string> sha256;           // of the new ones
  GivenMarks given;                          // of the results, then the new ones
};

/// Takes the marks out of `marks` that the finished results `output` hold; all remain where there are no such results,
/// or of a version that does not list what it was given. One that could not be read then, and has changed since, is a
/// new one. Throws on every rank DataError naming a mark that the results hold of another image or mask. Collective.
EarlierMarks earlier_marks(const comm::Communicator& comm, const std::filesystem::path& output,
                           std::vector<std::filesystem::path>& marks);

/// For each unit of `marks_per_unit` new marks what its rows depend on, after as many empty ones as there are earlier
/// units: what store::StoreJob::stamps wants. On rank 0; elsewhere empty.
std::vector<std::string> stamps_of(const EarlierMarks& earlier, const std::vector<std::filesystem::path>& marks,
                                   std::int64_t marks_per_unit);

}  // namespace outsole::retrieval
