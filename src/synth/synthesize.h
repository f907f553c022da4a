#pragma once
// Folders of synthetic images with ground truth. Ranks share the images; each depends on the seed and its number
// alone, so a folder's bytes do not depend on the ranks.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "comm/communicator.h"
#include "synth/mark.h"

namespace outsole::synth {

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
  MarkOptions mark;
};

/// Writes mark00001.png, ..., labels.csv (mark, exemplar, true pose, visible area, capture) and manifest.csv (file,
/// visible area, capture, background, inverted). Each mark is cut from an exemplar drawn at random. Collective; refuses
/// folders as synthesize_exemplars. Throws DataError for an exemplar that cannot be read.
void synthesize_marks(const comm::Communicator& comm, const SynthesizeMarksOptions& options);

struct SynthesizeWearOptions {
  std::filesystem::path output;
  std::int64_t count = 1;  // pairs of shoes
  std::uint64_t seed = 1;
  std::int64_t height_px = 640;
  std::int64_t width_px = 256;
};

/// Writes a year of scans of each pair: 52 files 00001L_week00.tiff, ... (both feet, weeks 0 to 52 by 2 without 6), and
/// manifest.csv (file, shoe, pair, foot, week, dpi) as `ingest --kind scans` takes it. Ground truth, under the scans'
/// names, in truth/:
///   clean/   the scan without faults, pixel on pixel
///   faults/  which faults changed each pixel: the bits of Fault added up, 0 where scan and clean are equal
///   print/   the clean print in the shoe's own frame: upright, in the middle of the image
///   height/  the rubber there above the grooves' floor, 16 bit, in steps of 0.1 micrometre
///   truth.csv        pose (angle_deg, shift_y_px, shift_x_px: image::RigidTransform from print to scan; centre_y_px,
///                    centre_x_px: the scan's pixel under the print's middle, as prepare stores them of its frame),
///                    pressure, and the kinds of faults
///   accidentals.csv  boxes of cuts, nicks, holes and stones in the print, and their weeks
/// Collective; takes up and refuses folders as synthesize_exemplars; a scan that is there is not drawn again. Throws
/// UsageError for an impossible count or size.
void synthesize_wear(const comm::Communicator& comm, const SynthesizeWearOptions& options);

}  // namespace outsole::synth
