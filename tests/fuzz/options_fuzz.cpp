// The command line and the file of --config: words, a line each, then after an empty line the file.

#include <sstream>

#include "../../jobs/options.h"
#include "fuzz.h"

namespace {

namespace po = outsole::jobs::po;

/// One option of every kind that jobs declare.
po::options_description known_options() {
  po::options_description known("Options");
  known.add_options()                                                                  //
      ("help", "print this")                                                           //
      ("config", po::value<std::string>(), "options from a file")                      //
      ("marks", po::value<std::vector<std::string>>()->multitoken(), "several words")  //
      ("output", po::value<std::string>()->required(), "required")                     //
      ("size", po::value<std::string>()->default_value("586x270"), "HxW")              //
      ("angles-deg", po::value<std::string>()->default_value("-20:20:4"), "a range")   //
      ("top", po::value<std::int64_t>()->default_value(20), "whole")                   //
      ("threads", po::value<int>()->default_value(0), "whole")                         //
      ("memory-gib", po::value<double>()->default_value(4), "a number")                //
      ("strict", po::bool_switch(), "a switch");
  return known;
}

void read_all(const std::vector<std::string>& words) {
  using namespace outsole::jobs;
  const po::options_description known = known_options();
  const po::variables_map options = read_options("outsole search", "marks", words, known);
  if (options.count("help") > 0) return;
  outsole::fuzz::require(options.count("output") == 1, "required options are there");
  const HeightWidth size = parse_size(options["size"].as<std::string>(), "size");
  outsole::fuzz::require(size.height_px > 0 && size.width_px > 0, "sizes are positive");
  const std::vector<double> angles = parse_angles(options["angles-deg"].as<std::string>(), "angles-deg");
  outsole::fuzz::require(!angles.empty() && angles.size() <= 3600, "angles are few");
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
