#include "report/search_rows.h"

#include <algorithm>
#include <span>

#include "comm/from_root.h"
#include "core/errors.h"
#include "core/sha256.h"
#include "retrieval/search_results.h"

namespace outsole::report {

namespace fs = std::filesystem;

namespace {

nlohmann::json json_of(const store::UnfinishedStore& store) {
  std::vector<std::string> shards;
  for (const fs::path& shard : store.shards) shards.push_back(shard.string());
  return {{"schema", store.header.schema},
          {"version", store.header.version},
          {"parameters", store.header.parameters},
          {"units", store.units},
          {"shards", shards},
          {"rows", store.rows},
          {"sha256", store.sha256},
          {"datasets", store.datasets}};
}

store::UnfinishedStore unfinished_from(const fs::path& path, const nlohmann::json& json) {
  store::UnfinishedStore store;
  store.path = path;
  store.header = {json.at("schema"), json.at("version"), json.at("parameters")};
  store.units = json.at("units");
  for (const auto& shard : json.at("shards")) store.shards.emplace_back(shard.get<std::string>());
  store.rows = json.at("rows").get<std::vector<std::int64_t>>();
  store.sha256 = json.at("sha256").get<std::vector<std::string>>();
  store.datasets = json.at("datasets").get<std::vector<std::string>>();
  return store;
}

}  // namespace

SearchRows SearchRows::open_together(const comm::Communicator& comm, const fs::path& results) {
  const nlohmann::json told = comm::json_from_root(comm, [&]() -> nlohmann::json {
    const auto unfinished = store::find_unfinished(results, retrieval::kResultsSchema);
    return unfinished ? json_of(*unfinished) : nlohmann::json();
  });
  SearchRows rows;
  if (told.is_null()) {
    rows.finished_.emplace(store::Store::open_together(comm, results, retrieval::kResultsSchema));
  } else {
    rows.unfinished_ = unfinished_from(results, told);
  }
  return rows;
}

bool SearchRows::has(const std::string& dataset) const {
  return finished_ ? finished_->has(dataset)
                   : std::ranges::find(unfinished_->datasets, dataset) != unfinished_->datasets.end();
}

store::Column SearchRows::read(const std::string& dataset, std::int64_t first, std::int64_t count) const {
  return finished_ ? finished_->read(dataset, first, count)
                   : store::read_unfinished(*unfinished_, dataset, first, count);
}

std::string SearchRows::sha256() const {
  if (finished_) return finished_->sha256();
  Sha256 digest;
  for (const std::string& unit : unfinished_->sha256) digest.update(std::as_bytes(std::span(unit)));
  return digest.hex();
}

nlohmann::json SearchRows::digests() const {
  nlohmann::json digests = nlohmann::json::object();
  if (finished_) digests[finished_->path().filename().string()] = finished_->sha256();
  for (std::size_t i = 0; unfinished_ && i < unfinished_->shards.size(); ++i) {
    digests[unfinished_->shards[i].filename().string()] = unfinished_->sha256[i];
  }
  return digests;
}

}  // namespace outsole::report
