// The command line and the file of --config: words, a line each, then after an empty line the file.

#include <sstream>

#include "../../jobs/options.h"
#include "fuzz.h"

namespace {

/// One option of every kind that jobs declare.
struct Known {
  bool help = false;
  std::string config;
  std::vector<std::filesystem::path> marks;
  std::filesystem::path output;
  std::optional<outsole::jobs::HeightWidth> size;
  std::vector<double> angles_deg;
  std::int64_t top = 20;
  std::uint64_t seed = 1;
  int threads = 0;
  double memory_gib = 4;
  std::string device = "auto";
  bool strict = false;
};

void declare(Known& known, outsole::jobs::Options& options) {
  options.add_switch("help", known.help, "print this");
  options.add("config", "FILE", known.config, "options from a file");
  options.add("marks", "FILE...", known.marks, "several words");
  options.add("output", "FILE", known.output, "required").required();
  options.add_parsed("size", "HxW", known.size, outsole::jobs::parse_size, "", "HxW");
  options.add_parsed("angles-deg", "LIST", known.angles_deg, outsole::jobs::parse_angles, "", "a range");
  options.add("top", "N", known.top, "whole").at_least(1).only_with("marks");
  options.add("seed", "N", known.seed, "whole, without a sign");
  options.add("threads", "N", known.threads, "whole").at_least(0).at_most(4096);
  options.add("memory-gib", "N", known.memory_gib, "a number").above(0).not_with("strict");
  options.add("device", "WORD", known.device, "a choice").one_of({"auto", "cpu", "cuda"}).required_with("seed");
  options.add_switch("strict", known.strict, "a switch");
}

void read_all(const std::vector<std::string>& words) {
  using outsole::fuzz::require;
  Known known;
  outsole::jobs::Options options;
  declare(known, options);
  options.read("outsole search", "marks", words);
  if (known.help) return;
  require(options.find("output")->is_given, "required options are there");
  require(!known.size || (known.size->height_px > 0 && known.size->width_px > 0), "sizes are positive");
  require(known.angles_deg.size() <= 3600, "angles are few");
  require(known.top >= 1 && known.threads >= 0 && known.threads <= 4096 && known.memory_gib > 0, "ranges are kept");
  require(known.top == 20 || !known.marks.empty(), "no option is without effect");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace outsole;
  const std::string_view text = fuzz::as_text(data, size);
  const std::size_t blank = text.find("\n\n");
  std::istringstream lines{std::string(text.substr(0, blank))};
  std::vector<std::string> words;
  for (std::string word; std::getline(lines, word);) {
    word.resize(std::min(word.size(), word.find('\0')));       // words have no NUL
    if (!word.starts_with("--config")) words.push_back(word);  // it would name a file of this machine
  }
  if (blank != std::string_view::npos) {
    const auto file = fuzz::write_scratch("options.ini", text.substr(blank + 2));
    words.insert(words.end(), {"--config", file.string()});
  }
  fuzz::reads_or_refuses("--", [&] { read_all(words); });
  return 0;
}
