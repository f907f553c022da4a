#include "core/provenance.h"

#include "core/files.h"
#include "core/host.h"

namespace outsole {

std::filesystem::path provenance_path(const std::filesystem::path& output) {
  std::filesystem::path path = output;
  if (path.extension() == ".h5") path.replace_extension();
  return path += ".provenance.json";
}

void write_provenance(const std::filesystem::path& output, const std::vector<std::string>& command_line, int ranks,
                      const nlohmann::json& details, bool was_finished) {
  if (was_finished && std::filesystem::exists(provenance_path(output))) return;
  nlohmann::json record = {
      {"output", output.filename().string()}, {"time_utc", utc_now()}, {"host", host_name()},       {"ranks", ranks},
      {"command_line", command_line},         {"details", details},    {"outsole", OUTSOLE_VERSION}};
  if (was_finished) record["note"] = "the output was made before, by a run that left no record";
  write_file_atomically(provenance_path(output),
                        record.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace outsole
