#pragma once
// Folders of synthetic images with ground truth. Image i is made by rank i modulo the number of ranks and depends on
// the seed and i alone, so a folder's bytes do not depend on the ranks.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "comm/communicator.h"
#include "synth/mark.h"

namespace outsole::pipeline {

struct SynthesizeExemplarsOptions {
  std::filesystem::path output;
  std::int64_t count = 50;
  std::uint64_t seed = 1;
  std::int64_t height_px = 586;
  std::int64_t width_px = 240;
};

/// Writes 00001.png, ..., and manifest.csv (file, foot, tread of forefoot, arch and heel, number of blocks).
/// Collective. A folder that the same command finished is left as it is, one that it began is completed; throws
/// UsageError for any other folder that is not empty, and for an impossible count or size.
void synthesize_exemplars(const comm::Communicator& comm, const SynthesizeExemplarsOptions& options);

struct SynthesizeMarksOptions {
  std::filesystem::path output;
  std::vector<std::filesystem::path> exemplars;  // images or folders of images
  std::int64_t count = 20;
  std::uint64_t seed = 2;
  synth::MarkOptions mark;
};

/// Writes mark00001.png, ..., labels.csv (mark, exemplar, true pose, visible area) and manifest.csv (file, visible
/// area, background, inverted). Each mark is cut from an exemplar drawn at random. Collective; refuses folders as
/// synthesize_exemplars. Throws DataError for an exemplar that cannot be read.
void synthesize_marks(const comm::Communicator& comm, const SynthesizeMarksOptions& options);

}  // namespace outsole::pipeline
