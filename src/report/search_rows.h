#pragma once
// The rows of a search's results: of a finished store, or of one whose search still runs or was interrupted.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "comm/communicator.h"
#include "store/store.h"
#include "store/unfinished.h"

namespace outsole::report {

class SearchRows {
 public:
  /// Rank 0 looks at what is there and tells: all ranks have the same rows, however many more are written meanwhile.
  /// Throws DataError where there is neither NAME.h5 nor a unit of it. Collective.
  static SearchRows open_together(const comm::Communicator& comm, const std::filesystem::path& results);

  bool is_finished() const { return finished_.has_value(); }
  const store::StoreHeader& header() const { return finished_ ? finished_->header() : unfinished_->header; }
  std::int64_t rows() const { return finished_ ? finished_->rows() : unfinished_->row_count(); }
  bool has(const std::string& dataset) const;
  store::Column read(const std::string& dataset, std::int64_t first = 0, std::int64_t count = -1) const;
  /// Of NAME.h5; of an unfinished search, of all SHA-256 of its units. Changes with every row.
  std::string sha256() const;
  /// Of NAME.h5, or of each unit that is there, by its file's name.
  nlohmann::json digests() const;
  /// The finished store.
  const store::Store& store() const { return *finished_; }

 private:
  std::optional<store::Store> finished_;
  std::optional<store::UnfinishedStore> unfinished_;
};

}  // namespace outsole::report
