#include "report/exemplar_stores.h"

#include <unordered_map>
#include <utility>

#include "core/errors.h"

namespace outsole::report {

namespace {

/// The store that holds a place, and the row there.
std::pair<std::size_t, std::int64_t> row_of_place(const std::vector<ingest::ExemplarStore>& stores,
                                                  std::int64_t place) {
  std::size_t store = 0;
  for (; place >= stores.at(store).size(); ++store) place -= stores[store].size();
  return {store, place};
}

void require_distinct_ids(const std::vector<ingest::ExemplarStore>& stores) {
  std::unordered_map<std::string, std::size_t> store_of_id;
  for (std::size_t store = 0; store < stores.size(); ++store) {
    for (const ingest::ExemplarInfo& exemplar : stores[store].exemplars()) {
      const auto [first, is_new] = store_of_id.emplace(exemplar.id, store);
      if (is_new) continue;
      throw DataError("exemplar '" + exemplar.id + "' is in " + stores[first->second].store().path().string() +
                      " and in " + stores[store].store().path().string() +
                      ": a report knows an exemplar once; give the stores of the indexes that were searched, and each "
                      "of them once");
    }
  }
}

}  // namespace

ExemplarStores ExemplarStores::open_together(const comm::Communicator& comm,
                                             const std::vector<std::filesystem::path>& paths) {
  ExemplarStores opened;
  for (const std::filesystem::path& path : paths)
    opened.stores_.push_back(ingest::ExemplarStore::open_together(comm, path));
  comm.together([&] { require_distinct_ids(opened.stores_); });
  return opened;
}

std::vector<std::int64_t> ExemplarStores::places_of(const std::vector<std::string>& ids) const {
  std::unordered_map<std::string, std::int64_t> place_of_id;
  for (const ingest::ExemplarStore& store : stores_) {
    for (const ingest::ExemplarInfo& exemplar : store.exemplars())
      place_of_id.emplace(exemplar.id, std::ssize(place_of_id));
  }
  std::vector<std::int64_t> places;
  places.reserve(ids.size());
  for (const std::string& id : ids) {
    const auto found = place_of_id.find(id);
    places.push_back(found == place_of_id.end() ? -1 : found->second);
  }
  return places;
}

const ingest::ExemplarInfo& ExemplarStores::info(std::int64_t place) const {
  const auto [store, row] = row_of_place(stores_, place);
  return stores_[store].exemplars()[static_cast<std::size_t>(row)];
}

ingest::ExemplarRecord ExemplarStores::record(std::int64_t place) const {
  const auto [store, row] = row_of_place(stores_, place);
  return stores_[store].record(row);
}

}  // namespace outsole::report
