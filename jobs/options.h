#pragma once
// What a person may ask of a job. An option is declared once: its name, the field that its value lands in, what the
// value may be, and help. Command line, configuration file and help all come from the declarations.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/errors.h"

namespace outsole::jobs {

/// An end of the range that numbers must lie in.
struct Bound {
  double value = 0;
  bool is_inside = true;
};

/// Another option, given (with one of `values`, if there are any).
struct Condition {
  std::string option;
  std::vector<std::string> values;
};

/// One option. Options::add makes it; the functions below say more of it, in a chain.
struct Option {
  std::string name = {};        // "stride-px"
  std::string value_name = {};  // "FILE|DIR..." in help; empty: a switch
  std::string type = {};        // "a whole number"; empty: any text
  std::string standard = {};    // what holds when it is not given, as people would write it; empty: nothing
  std::string help = {};
  std::string group = {};  // heading in help
  bool takes_list = false;
  /// Puts words as given into the field. Throws UsageError.
  std::function<void(const Option& option, const std::vector<std::string>& words)> set = {};

  bool is_required = false;  // wherever it has an effect
  Bound least{-std::numeric_limits<double>::infinity(), false}, most{std::numeric_limits<double>::infinity(), false};
  std::string unit = {};                     // of a number
  std::vector<std::string> choices = {};     // the words it may be; empty: any
  std::vector<Condition> only_where = {};    // without each of these it has no effect, and is refused
  std::vector<Condition> needed_where = {};  // with one of these it is required
  std::vector<std::string> never_with = {};  // other options that take its effect away

  bool is_given = false;                // a switch: and not switched off
  std::vector<std::string> words = {};  // as given

  Option& required();
  Option& at_least(double value);
  Option& at_most(double value);
  Option& above(double value);
  Option& below(double value);
  Option& in(std::string the_unit);
  Option& one_of(std::vector<std::string> the_choices);
  Option& only_with(std::string option, std::vector<std::string> values = {});
  Option& required_with(std::string option, std::vector<std::string> values = {});
  Option& not_with(std::string option);

  /// "at least 1 px"; empty: any.
  std::string range() const;
  /// "--top 0: must be at least 1".
  UsageError refusal(const std::string& word, const std::string& complaint) const;
};

// --- Values as words ------------------------------------------------------------------------------------------------

void read_value(const Option& option, const std::string& word, int& field);
void read_value(const Option& option, const std::string& word, std::int64_t& field);
void read_value(const Option& option, const std::string& word, std::uint64_t& field);
void read_value(const Option& option, const std::string& word, double& field);
void read_value(const Option& option, const std::string& word, std::string& field);
void read_value(const Option& option, const std::string& word, std::filesystem::path& field);

template <typename T>
void read_value(const Option& option, const std::string& word, std::optional<T>& field) {
  read_value(option, word, field.emplace());
}

std::string text_of(std::int64_t value);
std::string text_of(std::uint64_t value);
std::string text_of(double value);  // as people write it: 0.1, 1e-5
inline std::string text_of(int value) { return text_of(std::int64_t{value}); }
inline std::string text_of(const std::string& value) { return value; }
inline std::string text_of(const std::filesystem::path& value) { return value.string(); }

template <typename T>
std::string text_of(const std::optional<T>& value) {
  return value ? text_of(*value) : "";
}

template <typename T>
struct ElementOf {
  using Type = T;
  static constexpr bool kIsList = false;
};

template <typename T>
struct ElementOf<std::vector<T>> {
  using Type = T;
  static constexpr bool kIsList = true;
};

template <typename T>
struct ElementOf<std::optional<T>> : ElementOf<T> {};

// --- All options of a job -------------------------------------------------------------------------------------------

class Options {
 public:
  /// A value for `field`, which holds its default now: a number, text, a path, one of these if any (std::optional), or
  /// as many as are given (std::vector). The field must outlive this.
  template <typename T>
  Option& add(std::string name, std::string value_name, T& field, std::string help) {
    using Element = typename ElementOf<T>::Type;
    Option option{.name = std::move(name), .value_name = std::move(value_name), .help = std::move(help)};
    if constexpr (std::is_integral_v<Element>) option.type = "a whole number";
    if constexpr (std::is_floating_point_v<Element>) option.type = "a number";
    if constexpr (std::is_unsigned_v<Element>) option.at_least(0);
    option.takes_list = ElementOf<T>::kIsList;
    if constexpr (ElementOf<T>::kIsList) {
      option.set = [&field](const Option& self, const std::vector<std::string>& words) {
        field.clear();
        for (const std::string& word : words) read_value(self, word, field.emplace_back());
      };
    } else {
      option.standard = text_of(field);
      option.set = [&field](const Option& self, const std::vector<std::string>& words) {
        read_value(self, words.front(), field);
      };
    }
    return add(std::move(option));
  }

  /// A value that `parse` makes of a word; UsageErrors that it throws get the option's name. `standard` is the field's
  /// default as a word.
  template <typename T, typename Parse>
  Option& add_parsed(std::string name, std::string value_name, T& field, Parse parse, std::string standard,
                     std::string help) {
    Option option{.name = std::move(name),
                  .value_name = std::move(value_name),
                  .standard = std::move(standard),
                  .help = std::move(help)};
    option.set = [&field, parse](const Option& self, const std::vector<std::string>& words) {
      try {
        field = parse(words.front());
      } catch (const UsageError& error) {
        throw self.refusal(words.front(), error.what());
      }
    };
    return add(std::move(option));
  }

  /// As many words as are given, `parse` makes an element of each.
  template <typename T, typename Parse>
  Option& add_parsed_list(std::string name, std::string value_name, std::vector<T>& field, Parse parse,
                          std::string help) {
    Option option{.name = std::move(name), .value_name = std::move(value_name), .help = std::move(help)};
    option.takes_list = true;
    option.set = [&field, parse](const Option& self, const std::vector<std::string>& words) {
      field.clear();
      for (const std::string& word : words) {
        try {
          field.push_back(parse(word));
        } catch (const UsageError& error) {
          throw self.refusal(word, error.what());
        }
      }
    };
    return add(std::move(option));
  }

  /// Turns `field` from what it is now to the opposite.
  Option& add_switch(std::string name, bool& field, std::string help);

  /// The heading in help of the options that follow.
  void begin_group(std::string heading) { group_ = std::move(heading); }

  /// In the order of their declaration.
  const std::vector<Option>& all() const { return options_; }
  const Option* find(const std::string& name) const;

  /// Gives every field its value from `words` or the file that `--config` names, the words first. Words without dashes
  /// go to the option `positional` (empty: there is none); `command` ("outsole search") is named in messages. With
  /// `--help` nothing is required. Throws UsageError for an option that is unknown, naming the nearest, has no or a
  /// wrong value, is required and lacking, or would have no effect; DataError for a file that cannot be read.
  void read(const std::string& command, const std::string& positional, const std::vector<std::string>& words);

  std::string help_text() const;

  /// The library names what it was given in backquotes, as in "`memory_gib` is too small"; where that is an option here
  /// it becomes the option: "--memory-gib is too small".
  std::string in_words_of_options(const std::string& message) const;

 private:
  Option& add(Option option);
  void require_effect(const std::string& command, const std::string& positional) const;
  bool holds(const Condition& condition) const;

  std::vector<Option> options_;
  std::string group_ = "Options";
};

// --- Kinds of words that several jobs know --------------------------------------------------------------------------

struct HeightWidth {
  std::int64_t height_px = 0, width_px = 0;
};

/// "586x270" as height and width; throws UsageError.
HeightWidth parse_size(const std::string& text);

/// "-20:20:4" (first:last:step, last included when met) or "0,90,180" as a list; throws UsageError.
std::vector<double> parse_angles(const std::string& text);

/// "1,64,4096" as numbers (int, std::int64_t or double) of at least `least`; otherwise throws UsageError saying what is
/// `expected`.
template <typename Number>
std::vector<Number> parse_list(const std::string& text, Number least, const std::string& expected);

/// Makes a folder that an option names, with those above it; throws EnvironmentError. Any rank.
void create_folder(const std::filesystem::path& folder);

}  // namespace outsole::jobs
