#pragma once
// Reading of options that several jobs share.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace outsole::jobs {

struct HeightWidth {
  std::int64_t height_px = 0, width_px = 0;
};

/// "586x270" as height and width; throws UsageError naming `option`.
HeightWidth parse_size(const std::string& text, const std::string& option);

/// "-20:20:4" (first:last:step, last included when met) or "0,90,180" as a list; throws UsageError naming `option`.
std::vector<double> parse_angles(const std::string& text, const std::string& option);

/// Makes a folder that an option names, with those above it; throws EnvironmentError. Any rank.
void create_folder(const std::filesystem::path& folder);

}  // namespace outsole::jobs
