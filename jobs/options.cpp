#include "options.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include "core/files.h"
#include "core/text.h"

namespace outsole::jobs {

namespace po = boost::program_options;

namespace {

using Words = std::vector<std::string>;

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-') text.remove_prefix(1);
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

std::string joined(const Words& words, const std::string& between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

// --- What a value may be --------------------------------------------------------------------------------------------

void require_in_range(const Option& option, const std::string& word, double value) {
  const bool is_in = (value > option.least.value || (option.least.is_inside && value == option.least.value)) &&
                     (value < option.most.value || (option.most.is_inside && value == option.most.value));
  if (!is_in) throw option.refusal(word, "must be " + option.range());
}

void require_choice(const Option& option, const std::string& word) {
  if (option.choices.empty() || std::ranges::find(option.choices, word) != option.choices.end()) return;
  throw option.refusal(word, "not one of " + joined(option.choices, ", "));
}

[[noreturn]] void refuse_kind(const Option& option, const std::string& word) {
  const std::string range = option.range();
  throw option.refusal(word, "must be " + option.type + (range.empty() ? "" : ", " + range));
}

template <typename Number>
void read_number(const Option& option, const std::string& word, Number& field) {
  const auto value = parse_number<Number>(word);
  if (!value) {
    // Of the right kind, but no value of the field's type: below 0 where that has no sign.
    if (const auto whole = parse_number<std::int64_t>(word))
      require_in_range(option, word, static_cast<double>(*whole));
    refuse_kind(option, word);
  }
  if (!std::isfinite(static_cast<double>(*value))) refuse_kind(option, word);
  require_in_range(option, word, static_cast<double>(*value));
  require_choice(option, word);
  field = *value;
}

bool read_switch(const Option& option, const Words& words) {
  std::string word = words.empty() ? "true" : words.front();
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const char* yes : {"", "true", "yes", "on", "1"}) {
    if (word == yes) return true;
  }
  for (const char* no : {"false", "no", "off", "0"}) {
    if (word == no) return false;
  }
  throw option.refusal(words.front(), "a switch is true or false");
}

// --- Boost ----------------------------------------------------------------------------------------------------------

/// What is wrong. Boost's own text is not asked for where it has a value to put in: it replaces %value% and its like
/// over and over, and never ends when the value itself holds such a word.
std::string reason_of(const po::error& error) {
  const auto* named = dynamic_cast<const po::error_with_option_name*>(&error);
  if (named == nullptr) return error.what();
  if (const auto* line = dynamic_cast<const po::invalid_config_file_syntax*>(named)) {
    return "the line '" + line->tokens() + "' of the configuration file is not of the form option = value";
  }
  return "the value of option '" + named->get_option_name() + "' is missing or of the wrong kind";
}

/// Boost's errors, in words that name the option and the nearest known one.
[[noreturn]] void refuse_options(const std::vector<Option>& known, const po::error& error, const std::string& see) {
  const auto* unknown = dynamic_cast<const po::unknown_option*>(&error);
  if (unknown == nullptr) throw UsageError(reason_of(error) + see);
  Words names;
  for (const Option& option : known) names.push_back(option.name);
  std::string name = unknown->get_option_name();
  name.erase(0, name.find_first_not_of('-'));
  const std::string nearest = nearest_name(name, names);
  throw UsageError("unknown option --" + name + (nearest.empty() ? "" : ", did you mean --" + nearest + "?") + see);
}

/// The help, and what it does not say itself: the range, and what else must be given.
std::string help_of(const Option& option) {
  Words notes;
  if (option.is_required && option.only_where.empty()) notes.push_back("required");
  if (const std::string range = option.range(); !range.empty()) notes.push_back(range);
  for (const Condition& condition : option.only_where) {
    const std::string other = "--" + condition.option;
    if (condition.values.empty() && option.help.find(other) == std::string::npos) notes.push_back("with " + other);
  }
  return option.help + (notes.empty() ? "" : " (" + joined(notes, "; ") + ")");
}

void describe(const Option& option, po::options_description& description) {
  const std::string value_name = option.value_name + (option.standard.empty() ? "" : " (=" + option.standard + ")");
  auto add = description.add_options();
  if (option.value_name.empty()) {
    add(option.name.c_str(), po::bool_switch(), help_of(option).c_str());
  } else if (option.takes_list) {
    add(option.name.c_str(), po::value<Words>()->multitoken()->value_name(value_name), help_of(option).c_str());
  } else {
    add(option.name.c_str(), po::value<std::string>()->value_name(value_name), help_of(option).c_str());
  }
}

/// The options of each heading, in order.
std::vector<po::options_description> described(const std::vector<Option>& options) {
  std::vector<po::options_description> groups;
  std::string heading;
  for (const Option& option : options) {
    if (groups.empty() || option.group != heading) groups.emplace_back(heading = option.group, 120);
    describe(option, groups.back());
  }
  return groups;
}

po::options_description all_described(const std::vector<Option>& options) {
  po::options_description all;
  for (const auto& group : described(options)) all.add(group);
  return all;
}

/// The words that one source gives to each option. Throws UsageError for a second value of what takes one.
std::map<std::string, Words> words_by_option(const po::parsed_options& parsed, const std::vector<Option>& known) {
  std::map<std::string, Words> given;
  for (const po::option& part : parsed.options) {
    const auto option = std::ranges::find(known, part.string_key, &Option::name);
    ensure(option != known.end(), "Boost knows the options that it finds");
    const auto [words, is_first] = given.try_emplace(part.string_key);
    if (!is_first && !option->takes_list) throw UsageError("option '--" + option->name + "' is given more than once");
    words->second.insert(words->second.end(), part.value.begin(), part.value.end());
  }
  return given;
}

/// Into the options that no earlier source has given.
void take(const std::map<std::string, Words>& given, std::vector<Option>& options) {
  for (Option& option : options) {
    const auto found = given.find(option.name);
    if (found == given.end() || option.is_given) continue;
    option.is_given = true;
    option.words = found->second;
  }
}

std::string read_config(const std::string& path) {
  std::string text = read_text_file(path, std::size_t{16} << 20);
  if (text.find('\0') != std::string::npos) {
    throw DataError("--config " + path + ": holds NUL bytes, so it is no configuration file");
  }
  return text;
}

constexpr std::string_view kBlanks = " \t\r\n";
constexpr char kPlaceholder = '\0';  // no configuration file holds one

/// What stands between the quotes of a value, if all of it is in quotes: there \" is a quote, \\ a backslash and \n the
/// end of a line. Behind it a comment may follow.
std::optional<std::string> unquoted(std::string_view value) {
  if (value.empty() || value.front() != '"') return std::nullopt;
  std::string text;
  for (std::size_t i = 1; i < value.size(); ++i) {
    if (value[i] == '"') {
      const std::size_t next = value.find_first_not_of(kBlanks, i + 1);
      const bool is_end = next == std::string_view::npos || value[next] == '#';
      return is_end ? std::optional(text) : std::nullopt;
    }
    const char escaped = value[i] == '\\' && i + 1 < value.size() ? value[i + 1] : '\0';
    const bool is_escape = escaped == '"' || escaped == '\\' || escaped == 'n';
    text += !is_escape ? value[i] : escaped == 'n' ? '\n' : escaped;
    if (is_escape) ++i;
  }
  return std::nullopt;
}

/// Boost ends a line at #, wherever that stands, and takes blanks at both ends of a value away. So it gets a
/// placeholder for each value in quotes, with the position of the value in `quoted`.
std::string without_quotes(const std::string& text, Words& quoted) {
  std::string plain;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t equals = line.find('='), begin = line.find_first_not_of(kBlanks, equals + 1);
    const bool has_value = equals != std::string::npos && begin != std::string::npos && line.find('#') > equals;
    const auto value = has_value ? unquoted(std::string_view(line).substr(begin)) : std::nullopt;
    if (value) {
      line = line.substr(0, equals + 1) + kPlaceholder + std::to_string(quoted.size());
      quoted.push_back(*value);
    }
    plain += line + "\n";
  }
  return plain;
}

/// Puts the values back that stood in quotes.
void restore_quoted(po::parsed_options& parsed, const Words& quoted) {
  for (po::option& part : parsed.options) {
    for (std::string& word : part.value) {
      if (word.starts_with(kPlaceholder)) word = quoted.at(std::stoul(word.substr(1)));
    }
  }
}

/// The words of a configuration file: a line each, option = value, # begins a comment; a value that holds one, or ends
/// in blanks, stands in quotes.
po::parsed_options parse_config(const std::string& path, const po::options_description& known) {
  Words quoted;
  std::istringstream file(without_quotes(read_config(path), quoted));
  po::parsed_options parsed = po::parse_config_file(file, known);
  restore_quoted(parsed, quoted);
  return parsed;
}

}  // namespace

// --- One option -----------------------------------------------------------------------------------------------------

Option& Option::required() {
  is_required = true;
  return *this;
}

Option& Option::at_least(double value) {
  least = {value, true};
  return *this;
}

Option& Option::at_most(double value) {
  most = {value, true};
  return *this;
}

Option& Option::above(double value) {
  least = {value, false};
  return *this;
}

Option& Option::below(double value) {
  most = {value, false};
  return *this;
}

Option& Option::in(std::string the_unit) {
  unit = std::move(the_unit);
  return *this;
}

Option& Option::one_of(std::vector<std::string> the_choices) {
  choices = std::move(the_choices);
  return *this;
}

Option& Option::only_with(std::string option, std::vector<std::string> values) {
  only_where.push_back({std::move(option), std::move(values)});
  return *this;
}

Option& Option::required_with(std::string option, std::vector<std::string> values) {
  needed_where.push_back({std::move(option), std::move(values)});
  return *this;
}

Option& Option::not_with(std::string option) {
  never_with.push_back(std::move(option));
  return *this;
}

std::string Option::range() const {
  std::string text;
  if (std::isfinite(least.value)) text = (least.is_inside ? "at least " : "above ") + text_of(least.value);
  if (std::isfinite(most.value)) {
    text += (text.empty() ? "" : " and ") + ((most.is_inside ? "at most " : "below ") + text_of(most.value));
  }
  return text + (text.empty() || unit.empty() ? "" : " " + unit);
}

UsageError Option::refusal(const std::string& word, const std::string& complaint) const {
  return UsageError("--" + name + " " + word + ": " + complaint);
}

void read_value(const Option& option, const std::string& word, int& field) { read_number(option, word, field); }
void read_value(const Option& option, const std::string& word, std::int64_t& field) {
  read_number(option, word, field);
}
void read_value(const Option& option, const std::string& word, std::uint64_t& field) {
  read_number(option, word, field);
}
void read_value(const Option& option, const std::string& word, double& field) { read_number(option, word, field); }

void read_value(const Option& option, const std::string& word, std::string& field) {
  require_choice(option, word);
  field = word;
}

void read_value(const Option&, const std::string& word, std::filesystem::path& field) { field = word; }

std::string text_of(std::int64_t value) { return std::to_string(value); }
std::string text_of(std::uint64_t value) { return std::to_string(value); }

std::string text_of(double value) {
  char buffer[32];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof buffer, value).ptr);
  const std::size_t exponent = text.find('e');  // "1e-05"
  if (exponent != std::string::npos) {
    const std::size_t digits = text.find_first_of("123456789", exponent);
    const std::size_t begin = exponent + (text[exponent + 1] == '-' ? 2 : 1);
    text.erase(begin, digits - begin);
  }
  return text;
}

// --- All options of a job -------------------------------------------------------------------------------------------

Option& Options::add(Option option) {
  ensure(find(option.name) == nullptr, "an option is declared once");
  option.group = group_;
  return options_.emplace_back(std::move(option));
}

Option& Options::add_switch(std::string name, bool& field, std::string help) {
  Option option{.name = std::move(name), .help = std::move(help)};
  option.set = [&field, otherwise = field](const Option& self, const Words& words) {
    field = read_switch(self, words) != otherwise;
  };
  return add(std::move(option));
}

const Option* Options::find(const std::string& name) const {
  const auto found = std::ranges::find(options_, name, &Option::name);
  return found == options_.end() ? nullptr : &*found;
}

void Options::read(const std::string& command, const std::string& positional, const Words& words) {
  const std::string see = "; see `" + command + " --help`";
  const po::options_description known = all_described(options_);
  po::positional_options_description places;
  if (!positional.empty()) places.add(positional.c_str(), -1);
  // No guessing of abbreviated names: a script must not change its meaning when an option is added.
  const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
  for (Option& option : options_) {
    option.is_given = false;
    option.words.clear();
  }
  try {
    take(words_by_option(po::command_line_parser(words).options(known).positional(places).style(style).run(), options_),
         options_);
    if (const Option* help = find("help"); help != nullptr && help->is_given) return help->set(*help, help->words);
    if (const Option* config = find("config"); config != nullptr && config->is_given) {
      take(words_by_option(parse_config(config->words.front(), known), options_), options_);
    }
  } catch (const po::error& error) {
    refuse_options(options_, error, see);
  }
  for (const Option& option : options_) {
    if (option.is_required && option.only_where.empty() && !option.is_given)
      throw UsageError("the option '--" + option.name + "' is required but missing" + see);
  }
  for (Option& option : options_) {
    if (!option.is_given) continue;
    option.set(option, option.words);
    if (option.value_name.empty()) option.is_given = read_switch(option, option.words);
  }
  require_effect(command, positional);
}

bool Options::holds(const Condition& condition) const {
  const Option* other = find(condition.option);
  ensure(other != nullptr, "an option that another depends on is declared");
  if (condition.values.empty()) return other->is_given;
  const std::string& word = other->is_given ? other->words.front() : other->standard;
  return std::ranges::find(condition.values, word) != condition.values.end();
}

void Options::require_effect(const std::string& command, const std::string& positional) const {
  const auto text = [&](const Condition& condition) {
    const std::string values = joined(condition.values, " or ");
    if (condition.option == positional) return "`" + command + " " + values + "`";
    return "--" + condition.option + (values.empty() ? "" : " " + values);
  };
  for (const Option& option : options_) {
    const auto lacking = std::ranges::find_if_not(option.only_where, [&](const auto& c) { return holds(c); });
    const bool has_effect = lacking == option.only_where.end();
    if (option.is_given && !has_effect) {
      throw UsageError("--" + option.name + ": has no effect without " + text(*lacking));
    }
    for (const std::string& other : option.never_with) {
      if (option.is_given && holds({other, {}})) throw UsageError("--" + option.name + ": cannot go with --" + other);
    }
    if (option.is_given) continue;
    if (option.is_required && has_effect) {
      throw UsageError(text(option.only_where.back()) + " needs --" + option.name + ": " + option.help);
    }
    const auto needing = std::ranges::find_if(option.needed_where, [&](const auto& c) { return holds(c); });
    if (needing != option.needed_where.end()) {
      throw UsageError(text(*needing) + " needs --" + option.name + ": " + option.help);
    }
  }
}

std::string Options::help_text() const {
  std::ostringstream text;
  for (const auto& group : described(options_)) text << group << "\n";
  return text.str();
}

std::string Options::in_words_of_options(const std::string& message) const {
  std::string text;
  std::size_t begin = 0;
  while (true) {
    const std::size_t open = message.find('`', begin);
    const std::size_t close = open == std::string::npos ? open : message.find('`', open + 1);
    if (close == std::string::npos) return text + message.substr(begin);
    std::string name = message.substr(open + 1, close - open - 1);
    std::ranges::replace(name, '_', '-');
    text += message.substr(begin, open - begin);
    if (find(name) != nullptr) {
      text += "--" + name;
      begin = close + 1;
    } else {  // the second backquote may be the first of a name
      text += message.substr(open, close - open);
      begin = close;
    }
  }
}

// --- Kinds of words that several jobs know --------------------------------------------------------------------------

HeightWidth parse_size(const std::string& text) {
  const auto parts = split(text, 'x');
  if (parts.size() == 2) {
    const auto height = parse_number<std::int64_t>(parts[0]), width = parse_number<std::int64_t>(parts[1]);
    constexpr std::int64_t kLongest = 1 << 17;
    if (height && width && *height > 0 && *width > 0 && *height <= kLongest && *width <= kLongest)
      return {*height, *width};
  }
  throw UsageError("expected HEIGHTxWIDTH in pixels, as in 586x270");
}

std::vector<double> parse_angles(const std::string& text) {
  const UsageError wrong("expected first:last:step, as in -20:20:4, or a list, as in 0,90,180");
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

template <typename Number>
std::vector<Number> parse_list(const std::string& text, Number least, const std::string& expected) {
  std::vector<Number> numbers;
  for (const std::string_view part : split(text, ',')) {
    const auto number = parse_number<Number>(part);
    if (!number || !std::isfinite(static_cast<double>(*number)) || *number < least) throw UsageError(expected);
    numbers.push_back(*number);
  }
  return numbers;
}

template std::vector<int> parse_list(const std::string& text, int least, const std::string& expected);
template std::vector<std::int64_t> parse_list(const std::string& text, std::int64_t least, const std::string& expected);
template std::vector<double> parse_list(const std::string& text, double least, const std::string& expected);

void create_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw EnvironmentError(folder.string() + ": cannot be created: " + error.message());
}

}  // namespace outsole::jobs
