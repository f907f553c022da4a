#include "options.h"

#include <charconv>
#include <cmath>
#include <sstream>

#include "core/errors.h"
#include "core/files.h"
#include "core/text.h"

namespace outsole::jobs {

namespace {

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

/// What is wrong. Boost's own text is not asked for where it has a value to put in: it replaces %value% and its like
/// over and over, and never ends when the value itself holds such a word.
std::string reason_of(const po::error& error) {
  const auto* named = dynamic_cast<const po::error_with_option_name*>(&error);
  if (named == nullptr) return error.what();
  const std::string option = "option '" + named->get_option_name() + "'";
  if (dynamic_cast<const po::required_option*>(named) != nullptr) return "the " + option + " is required but missing";
  if (dynamic_cast<const po::multiple_occurrences*>(named) != nullptr) return option + " is given more than once";
  if (const auto* line = dynamic_cast<const po::invalid_config_file_syntax*>(named)) {
    return "the line '" + line->tokens() + "' of the configuration file is not of the form option = value";
  }
  return "the value of " + option + " is missing or of the wrong kind";
}

/// Boost's errors, in words that name the option and the nearest known one.
[[noreturn]] void refuse_options(const std::string& command, const po::options_description& known,
                                 const po::error& error) {
  const std::string help = "; see `" + command + " --help`";
  if (const auto* unknown = dynamic_cast<const po::unknown_option*>(&error)) {
    std::vector<std::string> names;
    for (const auto& option : known.options()) names.push_back(option->long_name());
    std::string name = unknown->get_option_name();
    name.erase(0, name.find_first_not_of('-'));
    const std::string nearest = nearest_name(name, names);
    throw UsageError("unknown option --" + name + (nearest.empty() ? "" : ", did you mean --" + nearest + "?") + help);
  }
  throw UsageError(reason_of(error) + help);
}

}  // namespace

po::variables_map read_options(const std::string& command, const std::string& positional,
                               const std::vector<std::string>& words, const po::options_description& known) {
  po::variables_map options;
  try {
    po::positional_options_description places;
    if (!positional.empty()) places.add(positional.c_str(), -1);
    // No guessing of abbreviated names: a script must not change its meaning when an option is added.
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    po::store(po::command_line_parser(words).options(known).positional(places).style(style).run(), options);
    if (options.count("help") > 0) return options;
    if (options.count("config") > 0) {
      const auto& path = options["config"].as<std::string>();
      const std::string text = read_text_file(path, 1 << 20);
      if (text.find('\0') != std::string::npos) {
        throw DataError("--config " + path + ": holds NUL bytes, so it is no configuration file");
      }
      std::istringstream file(text);
      po::store(po::parse_config_file(file, known), options);
    }
    po::notify(options);
  } catch (const po::error& error) {
    refuse_options(command, known, error);
  }
  return options;
}

HeightWidth parse_size(const std::string& text, const std::string& option) {
  const auto parts = split(text, 'x');
  if (parts.size() == 2) {
    const auto height = parse_number<std::int64_t>(parts[0]), width = parse_number<std::int64_t>(parts[1]);
    constexpr std::int64_t kLongest = 1 << 17;
    if (height && width && *height > 0 && *width > 0 && *height <= kLongest && *width <= kLongest)
      return {*height, *width};
  }
  throw UsageError("--" + option + " " + text + ": expected HEIGHTxWIDTH in pixels, as in 586x270");
}

std::vector<double> parse_angles(const std::string& text, const std::string& option) {
  const UsageError wrong("--" + option + " " + text +
                         ": expected first:last:step, as in -20:20:4, or a list, as in 0,90,180");
  constexpr std::int64_t kMostAngles = 3600;
  std::vector<double> angles;
  const auto range = split(text, ':');
  if (range.size() == 3) {
    const auto first = parse_number<double>(range[0]), last = parse_number<double>(range[1]),
               step = parse_number<double>(range[2]);
    if (!first || !last || !step || !(*step > 0) || !(*last >= *first) ||
        !((*last - *first) / *step < static_cast<double>(kMostAngles)))
      throw wrong;
    const auto steps = static_cast<int>(std::floor((*last - *first) / *step + 1e-9));
    for (int i = 0; i <= steps; ++i) angles.push_back(*first + i * *step);
    return angles;
  }
  if (range.size() != 1) throw wrong;
  for (const std::string_view part : split(text, ',')) {
    const auto angle = parse_number<double>(part);
    if (!angle || !std::isfinite(*angle)) throw wrong;
    angles.push_back(*angle);
    if (std::ssize(angles) > kMostAngles) throw wrong;
  }
  return angles;
}

void create_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw EnvironmentError(folder.string() + ": cannot be created: " + error.message());
}

}  // namespace outsole::jobs
