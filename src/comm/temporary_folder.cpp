#include "comm/temporary_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace outsole::comm {

namespace fs = std::filesystem;

namespace {

/// As Open MPI looks for it.
fs::path temporary_folder() {
  for (const char* name : {"TMPDIR", "TEMP", "TMP"}) {
    if (const char* folder = std::getenv(name); folder != nullptr && *folder != '\0') return folder;
  }
  return "/tmp";
}

}  // namespace

bool can_keep_files(const fs::path& folder) {
  std::string made = (folder / "outsole-XXXXXX").string();
  if (mkdtemp(made.data()) == nullptr) return false;
  constexpr std::array<char, 4096> kContent{};
  const std::string file = made + "/file";
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  const bool is_written =
      descriptor >= 0 && ::write(descriptor, kContent.data(), kContent.size()) == std::ssize(kContent);
  const bool is_closed = descriptor >= 0 && ::close(descriptor) == 0;
  ::unlink(file.c_str());
  ::rmdir(made.c_str());
  return is_written && is_closed;
}

std::string provide_temporary_folder(std::span<const fs::path> others) {
  const fs::path wanted = temporary_folder();
  if (can_keep_files(wanted)) return "";
  const auto other = std::ranges::find_if(others, can_keep_files);
  if (other == others.end()) return "";  // MPI will say what it cannot do
  setenv("TMPDIR", other->c_str(), 1);
  return wanted.string() + ": no files can be kept there; temporary ones go to " + other->string() +
         " (TMPDIR names another folder)";
}

}  // namespace outsole::comm
