#include "store/transfer.h"

#include <nlohmann/json.hpp>

#include "core/errors.h"
#include "core/files.h"
#include "core/json.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/stop.h"
#include "store/io_thread.h"
#include "store/shard.h"
#include "store/store.h"
#include "store/view.h"

namespace outsole::store {

namespace fs = std::filesystem;

namespace {

View view_of(const fs::path& path) {
  return io_thread().run([&] { return read_view(path); });
}

/// Brings one shard, whole or not at all: linked where that is wanted and the disk can, else copied.
void bring_shard(const fs::path& source, const fs::path& target, const ShardEntry& shard, Transfer how) {
  std::error_code error;
  if (how == Transfer::kRename) {
    fs::create_hard_link(source, target, error);
    if (!error) return;
  }
  const fs::path temporary = target.string() + ".part";
  error.clear();
  fs::copy_file(source, temporary, fs::copy_options::overwrite_existing, error);
  if (error) {
    const std::string reason = error.message();
    fs::remove(temporary, error);
    throw EnvironmentError(source.string() + ": cannot be copied to " + target.string() + ": " + reason);
  }
  publish_file(temporary, target);
  if (check_shard(target) != shard.sha256) {
    fs::remove(target, error);
    throw DataError(source.string() + ": is not the shard that its store names; `outsole validate` tells more");
  }
}

/// Whether the shard is there from a call that was interrupted.
bool has_shard(const fs::path& source, const fs::path& target, const ShardEntry& shard) {
  std::error_code error;
  if (!fs::exists(target, error)) return false;
  return fs::equivalent(source, target, error) || check_shard(target) == shard.sha256;
}

void bring_shards(const fs::path& from, const View& view, const fs::path& to, Transfer how) {
  Progress progress(how == Transfer::kCopy ? "copying" : "renaming", "shards", std::ssize(view.shards), true, 0);
  for (const ShardEntry& shard : view.shards) {
    if (stop_requested()) throw StopRequested("stopped on request; run the same command again to carry on");
    const fs::path source = find_shards_folder(from, shard.name, shard.size_bytes) / shard.name;
    const fs::path target = shards_folder(to) / shard.name;
    if (!has_shard(source, target, shard)) {
      std::error_code ignored;
      fs::remove(target, ignored);
      bring_shard(source, target, shard, how);
    }
    progress.advance(1);
  }
}

void write_store(const fs::path& from, const View& view, StoreWriter& writer, const fs::path& to, Transfer how) {
  const Store source(from, "", Origin::kForeign);  // all shards are there
  Columns whole;
  for (const auto& [name, layout] : view.whole_layout) whole[name] = source.read(name);
  bring_shards(from, view, to, how);
  std::vector<std::string> sha256;
  for (const ShardEntry& shard : view.shards) sha256.push_back(shard.sha256);
  writer.finish(whole, sha256);
}

/// The same provenance under the new name, with a word on where the store was before.
void carry_provenance(const fs::path& from, const fs::path& to, Transfer how,
                      const std::vector<std::string>& command_line) {
  const fs::path before = provenance_path(from), now = provenance_path(to);
  if (fs::exists(now)) return;
  const nlohmann::json moved = {{how == Transfer::kCopy ? "copied_from" : "renamed_from", from.filename().string()}};
  auto record = fs::exists(before) ? parse_json(read_text_file(before)) : nlohmann::json();
  if (!record.is_object()) return write_provenance(to, command_line, 1, moved);
  record["output"] = to.filename().string();
  record.update(moved);
  write_file_atomically(now, record.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

/// The view goes last: as long as it is there the same call finds what is left to do.
void remove_old(const fs::path& from) {
  remove_shards(from);
  std::error_code error;
  fs::remove(provenance_path(from), error);
  fs::remove(from, error);
  if (error) throw EnvironmentError(from.string() + ": cannot be removed: " + error.message());
}

}  // namespace

TransferSummary transfer_store(const fs::path& from, const fs::path& to, Transfer how,
                               const std::vector<std::string>& command_line) {
  std::error_code ignored;
  if (fs::weakly_canonical(from, ignored) == fs::weakly_canonical(to, ignored)) {
    throw UsageError(to.string() + ": is the store itself; give another name");
  }
  if (how == Transfer::kRename && fs::is_symlink(from, ignored)) {
    throw UsageError(from.string() + ": is a link; name the store that it leads to");
  }
  if (!fs::exists(to, ignored)) Store::probe_in_child(from);
  const View view = view_of(from);
  TransferSummary summary{view.sha256, "", std::ssize(view.shards), 0, false};
  for (const ShardEntry& shard : view.shards) summary.bytes += shard.size_bytes;
  {
    StoreWriter writer(to, view.header, summary.units, true);
    summary.was_finished = writer.is_finished();
    if (!summary.was_finished) write_store(from, view, writer, to, how);
  }
  const View made = view_of(to);
  for (std::size_t i = 0; i < made.shards.size(); ++i) {
    if (made.shards[i].sha256 != view.shards[i].sha256) {
      throw DataError(to.string() + ": is there already and holds other shards; choose another name");
    }
  }
  summary.sha256_now = made.sha256;
  carry_provenance(from, to, how, command_line);
  if (how == Transfer::kRename) remove_old(from);
  return summary;
}

}  // namespace outsole::store
