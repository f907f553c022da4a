#include "machine/cpu_quota.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <sstream>
#include <vector>

namespace outsole::machine {

namespace {

namespace fs = std::filesystem;

/// A control group file system that may limit processor time, and where it is to be found.
struct Mount {
  fs::path folder;    // it is mounted here,
  std::string shown;  // and this group of it is what lies there
  bool is_v2 = false;
};

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

bool lists(const std::string& names, const std::string& name) {
  return ("," + names + ",").find("," + name + ",") != std::string::npos;
}

/// "\040" as a blank: how mountinfo writes names.
std::string unescaped(const std::string& name) {
  std::string text;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const bool is_octal = name[i] == '\\' && i + 3 < name.size() && name.find_first_not_of("01234567", i + 1) > i + 3;
    text += is_octal ? static_cast<char>(std::stoi(name.substr(i + 1, 3), nullptr, 8)) : name[i];
    if (is_octal) i += 3;
  }
  return text;
}

/// "36 35 98:0 /shown /folder rw,noatime shared:1 - cgroup2 cgroup rw,cpu": proc(5).
std::vector<Mount> mounts(const fs::path& root) {
  std::vector<Mount> found;
  std::ifstream file(root / "proc/self/mountinfo");
  for (std::string line; std::getline(file, line);) {
    const std::vector<std::string> words = words_of(line);
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 6 || words.end() - dash < 4) continue;
    const bool is_v2 = dash[1] == "cgroup2", is_v1 = dash[1] == "cgroup" && lists(dash[3], "cpu");
    if (is_v1 || is_v2) found.push_back({unescaped(words[4]), unescaped(words[3]), is_v2});
  }
  return found;
}

/// The group of this process in such a file system: "4:cpu,cpuacct:/job" (v1), "0::/job" (v2).
std::optional<std::string> own_group(const fs::path& root, bool is_v2) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (is_v2 ? controllers.empty() : lists(controllers, "cpu")) return line.substr(second + 1);
  }
  return std::nullopt;
}

std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Cores that a group gives; nothing when it sets no limit.
std::optional<double> cores_of(const fs::path& group, bool is_v2) {
  double quota = -1, period = 0;
  if (is_v2) {
    std::istringstream(first_line(group / "cpu.max")) >> quota >> period;  // "max 100000" is no number
  } else {
    std::istringstream(first_line(group / "cpu.cfs_quota_us")) >> quota;
    std::istringstream(first_line(group / "cpu.cfs_period_us")) >> period;
  }
  if (!(quota > 0) || !(period > 0)) return std::nullopt;
  return quota / period;
}

/// Device and number of the folder: a container may call the group by another name.
std::string identity_of(const fs::path& group) {
  struct stat status {};
  if (::stat(group.c_str(), &status) != 0) return group.string();
  return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
}

/// The folder of a group. A container without a namespace of its own is told a group beside or above what it is shown;
/// then what it is shown is its own.
fs::path folder_of(const Mount& mount, const std::string& group) {
  const fs::path within = fs::path(group).lexically_relative(mount.shown);
  if (within.empty() || *within.begin() == "..") return mount.folder;
  return (mount.folder / within).lexically_normal();
}

}  // namespace

std::optional<CpuQuota> cpu_quota(const fs::path& root) {
  std::optional<CpuQuota> least;
  for (Mount mount : mounts(root)) {
    const auto group = own_group(root, mount.is_v2);
    if (!group) continue;
    mount.folder = (root / mount.folder.relative_path()).lexically_normal();
    fs::path folder = folder_of(mount, *group);
    while (true) {
      const auto cores = cores_of(folder, mount.is_v2);
      if (cores && (!least || *cores < least->cores)) least = CpuQuota{*cores, identity_of(folder)};
      const fs::path within = folder.lexically_relative(mount.folder);
      if (within.empty() || within == "." || *within.begin() == "..") break;
      folder = folder.parent_path();
    }
  }
  return least;
}

}  // namespace outsole::machine
