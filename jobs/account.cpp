#include "account.h"

#include <spdlog/fmt/fmt.h>

#include <map>

#include "core/text.h"

namespace outsole::jobs {

namespace {

/// Without the folder, which is long and mostly the same.
std::string name_of_entry(const std::filesystem::path& path) {
  const auto name = path.has_filename() ? path.filename() : path.parent_path().filename();
  return printable(name.string());
}

}  // namespace

std::string account_text(std::int64_t image_files, const std::vector<NotRead>& not_read) {
  constexpr std::size_t kNamed = 5;
  struct Kind {
    std::size_t count = 0;
    std::string first;
  };
  std::map<NotReadBecause, Kind> kinds;
  for (const NotRead& entry : not_read) {
    Kind& kind = kinds[entry.reason];
    if (++kind.count <= kNamed) kind.first += (kind.count > 1 ? ", " : "") + name_of_entry(entry.path);
  }
  std::string text = fmt::format("inputs: {} image files, {} not read\n", image_files, not_read.size());
  for (const auto& [reason, kind] : kinds) {
    text += fmt::format("  {} {}: {}{}\n", kind.count, text_of(reason).words, kind.first,
                        kind.count > kNamed ? ", ..." : "");
  }
  return text;
}

}  // namespace outsole::jobs
