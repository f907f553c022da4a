#include "core/provenance.h"

#include <unistd.h>

#include <ctime>

#include "core/files.h"

namespace outsole {

std::filesystem::path provenance_path(const std::filesystem::path& output) {
  std::filesystem::path path = output;
  if (path.extension() == ".h5") path.replace_extension();
  return path += ".provenance.json";
}

void write_provenance(const std::filesystem::path& output, const std::vector<std::string>& command_line, int ranks,
                      const nlohmann::json& details, bool was_finished) {
  if (was_finished && std::filesystem::exists(provenance_path(output))) return;
  const std::time_t now = std::time(nullptr);
  char time_text[32] = "", host[256] = "";
  std::tm utc{};
  std::strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
  gethostname(host, sizeof host - 1);
  nlohmann::json record = {
      {"output", output.filename().string()}, {"time_utc", time_text}, {"host", host}, {"ranks", ranks},
      {"command_line", command_line},         {"details", details}};
  if (was_finished) record["note"] = "the output was made before, by a run that left no record";
  write_file_atomically(provenance_path(output),
                        record.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

}  // namespace outsole
