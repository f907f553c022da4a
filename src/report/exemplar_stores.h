#pragma once
// The exemplar stores of a report as one collection.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "ingest/exemplars.h"

namespace outsole::report {

/// Exemplars of one store or of several; a place counts through all of them, in their order.
class ExemplarStores {
 public:
  /// The same on every rank. Throws DataError naming both files where two stores hold one id, and as ExemplarStore.
  /// Collective.
  static ExemplarStores open_together(const comm::Communicator& comm, const std::vector<std::filesystem::path>& paths);

  const std::vector<ingest::ExemplarStore>& stores() const { return stores_; }
  /// Where each of `ids` stands; -1: no store holds it.
  std::vector<std::int64_t> places_of(const std::vector<std::string>& ids) const;
  const ingest::ExemplarInfo& info(std::int64_t place) const;
  ingest::ExemplarRecord record(std::int64_t place) const;

 private:
  std::vector<ingest::ExemplarStore> stores_;
};

}  // namespace outsole::report
