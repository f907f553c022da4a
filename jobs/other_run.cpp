#include "other_run.h"

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/provenance.h"

namespace outsole::jobs {

void refuse_other_run(const std::filesystem::path& output, const nlohmann::json& inputs) {
  const std::filesystem::path provenance = provenance_path(output);
  if (!std::filesystem::exists(output) || !std::filesystem::exists(provenance)) return;
  const nlohmann::json before = parse_json(read_text_file(provenance));
  if (!before.is_object() || !before.contains("details") || !before["details"].is_object()) return;
  for (const auto& [name, sha256] : inputs.items()) {
    if (!before["details"].contains(name) || before["details"][name] == sha256) continue;
    throw UsageError("`output` " + output.string() + " holds the evaluation of other inputs (" + name +
                     " differs); give another name, or remove it first");
  }
}

}  // namespace outsole::jobs
