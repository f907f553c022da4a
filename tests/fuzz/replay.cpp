// Runs a fuzz target without a fuzzer: on every seed, then on a number of deterministic changes of them.
//
//   fuzz_NAME SEEDS DICTIONARY RUNS     what the tests do
//   fuzz_NAME FILE                      one input, as when a finding is looked at
//
// An input that ends the process is left in crash-NAME.

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <vector>

#include "core/files.h"
#include "fuzz.h"

namespace {

namespace fs = std::filesystem;

std::string current_input, crash_file;

void keep_input(int signal) {
  std::ofstream(crash_file, std::ios::binary) << current_input;
  std::fprintf(stderr, "the input is in %s\n", crash_file.c_str());
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void run(const std::string& input) {
  current_input = input;
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

/// Numbers that are the same on every machine (splitmix64).
class Random {
 public:
  std::size_t below(std::size_t count) {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return count == 0 ? 0 : (z ^ (z >> 31)) % count;
  }

 private:
  std::uint64_t state_ = 1;
};

/// The tokens of a dictionary in libFuzzer's form: lines like "text\x00"; none when there is no such file.
std::vector<std::string> read_dictionary(const fs::path& path) {
  std::vector<std::string> tokens;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const std::size_t begin = line.find('"'), end = line.rfind('"');
    if (line.starts_with("#") || begin == end) continue;
    std::string token;
    for (std::size_t i = begin + 1; i < end; ++i) {
      if (line[i] != '\\') {
        token += line[i];
      } else if (line[++i] == 'x') {
        token += static_cast<char>(std::stoi(line.substr(i + 1, 2), nullptr, 16));
        i += 2;
      } else {
        token += line[i];
      }
    }
    tokens.push_back(token);
  }
  return tokens;
}

std::string changed(std::string input, const std::vector<std::string>& seeds, const std::vector<std::string>& tokens,
                    Random& random) {
  for (std::size_t changes = 1 + random.below(6); changes > 0; --changes) {
    const std::size_t place = random.below(input.size() + 1), length = random.below(1 + input.size() - place);
    switch (random.below(7)) {
      case 0:
        if (place < input.size()) input[place] = static_cast<char>(input[place] ^ (1 << random.below(8)));
        break;
      case 1:
        if (place < input.size()) input[place] = static_cast<char>(random.below(256));
        break;
      case 2:
        input.erase(place, random.below(2) == 0 ? length : 1);
        break;
      case 3:
        input.insert(random.below(input.size() + 1), input.substr(place, std::min<std::size_t>(length, 256)));
        break;
      case 4:
        if (!tokens.empty()) input.insert(place, tokens[random.below(tokens.size())]);
        break;
      case 5:
        if (!tokens.empty()) {
          const std::string& token = tokens[random.below(tokens.size())];
          input.replace(place, std::min(token.size(), input.size() - place), token);
        }
        break;
      default: {
        const std::string& other = seeds[random.below(seeds.size())];
        input = input.substr(0, place) + other.substr(random.below(other.size() + 1));
      }
    }
  }
  return input;
}

/// A target that takes a gigabyte for inputs of some kilobytes shall fail.
void limit_memory() {
  long long pages = 0;
  std::FILE* file = std::fopen("/proc/self/statm", "r");  // the sixth number: pages of data and stack
  const bool is_known = file != nullptr && std::fscanf(file, "%*d %*d %*d %*d %*d %lld", &pages) == 1;
  if (file != nullptr) std::fclose(file);
  const rlim_t bytes = static_cast<rlim_t>(pages) * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{1} << 30);
  const rlimit limit{bytes, bytes};
  if (is_known) setrlimit(RLIMIT_DATA, &limit);
}

}  // namespace

int main(int argc, char** argv) {
  crash_file = "crash-" + fs::path(argv[0]).filename().string();
  for (const int signal : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL}) std::signal(signal, keep_input);
  if (argc == 2) {
    run(outsole::read_text_file(argv[1]));
    return 0;
  }
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s SEEDS DICTIONARY RUNS, or %s FILE\n", argv[0], argv[0]);
    return 2;
  }
  limit_memory();
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(argv[1])) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> seeds;
  for (const fs::path& file : files) seeds.push_back(outsole::read_text_file(file));
  for (const std::string& seed : seeds) run(seed);
  run("");

  const std::vector<std::string> tokens = read_dictionary(argv[2]);
  Random random;
  const long runs = std::atol(argv[3]);
  for (long i = 0; i < runs; ++i) run(changed(seeds[random.below(seeds.size())], seeds, tokens, random));
  std::printf("%zu seeds and %ld changes of them\n", seeds.size(), runs);
  return 0;
}
