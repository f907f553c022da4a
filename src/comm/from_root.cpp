#include "comm/from_root.h"

namespace outsole::comm {

std::string from_root(const Communicator& comm, const std::function<std::string()>& work) {
  std::string bytes;
  comm.together([&] {
    if (comm.is_root()) bytes = work();
  });
  return comm.broadcast(bytes);
}

nlohmann::json json_from_root(const Communicator& comm, const std::function<nlohmann::json()>& work) {
  const std::string bytes = from_root(comm, [&] {
    std::string text;
    nlohmann::json::to_cbor(work(), text);
    return text;
  });
  return nlohmann::json::from_cbor(bytes);
}

std::vector<std::filesystem::path> paths_from_root(const Communicator& comm,
                                                   const std::function<std::vector<std::filesystem::path>()>& work) {
  const std::string bytes = from_root(comm, [&] {
    std::string names;  // each ended by a NUL
    for (const std::filesystem::path& path : work()) names += path.string() + '\0';
    return names;
  });
  std::vector<std::filesystem::path> paths;
  for (std::size_t begin = 0; begin < bytes.size();) {
    const std::size_t end = bytes.find('\0', begin);
    paths.emplace_back(bytes.substr(begin, end - begin));
    begin = end + 1;
  }
  return paths;
}

}  // namespace outsole::comm
