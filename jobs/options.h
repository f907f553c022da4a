#pragma once
// Reading of options: the words, the file, and the values that several jobs share.

#include <boost/program_options.hpp>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace outsole::jobs {

namespace po = boost::program_options;

/// The options that `words` and the file of `--config` give, the words first; without `--help` those required are
/// there. `known` must have `help` and `config`; words without dashes go to the option `positional` (empty: there is
/// none). `command` ("outsole search") is named in messages. Throws UsageError for an option that is unknown, naming
/// the nearest, or lacks its value or has a wrong one; DataError for a file that cannot be read.
po::variables_map read_options(const std::string& command, const std::string& positional,
                               const std::vector<std::string>& words, const po::options_description& known);

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
