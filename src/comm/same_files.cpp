#include "comm/same_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "comm/from_root.h"
#include "comm/partition.h"
#include "core/errors.h"
#include "core/host.h"
#include "core/sha256.h"

namespace outsole::comm {

namespace {

namespace fs = std::filesystem;

struct Look {
  std::int64_t bytes = -1;  // -1: there is no such file
  std::int64_t changed_ns = 0;
};

/// The file is opened: network file systems ask the server then. A pipe is not waited for.
Look look_at(const fs::path& file) {
  struct stat status {};
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  const bool is_there = (descriptor >= 0 ? ::fstat(descriptor, &status) : ::stat(file.c_str(), &status)) == 0;
  if (descriptor >= 0) ::close(descriptor);
  if (!is_there) return {};
  return {status.st_size, std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

std::string bytes_of(const std::vector<Look>& looks) {
  return {reinterpret_cast<const char*>(looks.data()), looks.size() * sizeof(Look)};
}

std::string in_words(const Look& look) {
  return look.bytes < 0 ? "no such file" : "one of " + std::to_string(look.bytes) + " bytes";
}

std::string who(const Communicator& comm) { return "rank " + std::to_string(comm.rank()) + " on " + host_name(); }

constexpr char kWayOut[] = "; all ranks must see the same files under the same names";

/// The files that this rank looks at.
UnitRange share_of(const Communicator& comm, std::int64_t files) {
  constexpr std::int64_t kFew = 8;
  if (files <= kFew) return {0, files};
  return units_of(files, comm.local_rank(), comm.local_ranks());
}

/// A file whose content must be compared has a digest, on rank 0; "" where it cannot be read.
std::string digest_of(const fs::path& file) {
  try {
    return sha256_of_file(file);
  } catch (const DataError&) {
    return "";
  }
}

}  // namespace

void require_same_files(const Communicator& comm, std::span<const fs::path> files, bool may_be_unseen) {
  if (comm.size() == 1) return;
  std::vector<Look> root(files.size());
  const std::string told = from_root(comm, [&] {
    for (std::size_t i = 0; i < files.size(); ++i) root[i] = look_at(files[i]);
    return bytes_of(root);
  });
  std::vector<std::int64_t> doubtful;  // of equal size and another time
  comm.together([&] {
    ensure(told.size() == files.size() * sizeof(Look), "every rank gives as many names");
    std::memcpy(root.data(), told.data(), told.size());
    const UnitRange mine = share_of(comm, std::ssize(files));
    for (std::int64_t i = mine.begin; i < mine.end && !comm.is_root(); ++i) {
      const auto at = static_cast<std::size_t>(i);
      const Look here = look_at(files[at]);
      if (here.bytes < 0 && may_be_unseen) continue;
      if (here.bytes != root[at].bytes) {
        throw EnvironmentError(files[at].string() + ": rank 0 sees " + in_words(root[at]) + ", " + who(comm) + " " +
                               in_words(here) + kWayOut);
      }
      if (here.changed_ns != root[at].changed_ns) doubtful.push_back(i);
    }
  });

  std::vector<std::int64_t> asked = comm.all_gatherv(std::span<const std::int64_t>(doubtful)).values;
  if (asked.empty()) return;
  std::ranges::sort(asked);
  asked.erase(std::unique(asked.begin(), asked.end()), asked.end());
  const nlohmann::json digests = json_from_root(comm, [&] {
    nlohmann::json all = nlohmann::json::array();
    for (const std::int64_t i : asked) all.push_back(digest_of(files[static_cast<std::size_t>(i)]));
    return all;
  });
  comm.together([&] {
    for (const std::int64_t i : doubtful) {
      const fs::path& file = files[static_cast<std::size_t>(i)];
      const auto at = std::ranges::lower_bound(asked, i) - asked.begin();
      if (digest_of(file) == digests[static_cast<std::size_t>(at)]) continue;
      throw EnvironmentError(file.string() + ": " + who(comm) + " sees another file than rank 0, of the same size" +
                             kWayOut);
    }
  });
}

}  // namespace outsole::comm
