#include "store/write_units.h"

#include <algorithm>

#include "comm/partition.h"
#include "comm/watchdog.h"
#include "core/checked.h"
#include "core/errors.h"
#include "core/progress.h"
#include "core/provenance.h"
#include "core/stop.h"

namespace outsole::store {

void open_writer(const comm::Communicator& comm, const std::filesystem::path& output, const StoreHeader& header,
                 std::int64_t units, std::optional<StoreWriter>& writer,
                 const std::vector<std::string>& stamps) {
  comm.together([&] {
    if (!comm.is_root()) return;
    writer.emplace(output, header, units, /*create_folder=*/true, stamps);
    std::error_code ignored;
    if (!writer->is_finished()) std::filesystem::remove(provenance_path(output), ignored);  // of an older store
  });
  comm.together([&] {
    if (!comm.is_root()) writer.emplace(output, header, units, /*create_folder=*/false);
  });
}

std::vector<std::int64_t> agreed_pending_units(const comm::Communicator& comm, const StoreWriter& writer,
                                               std::int64_t units) {
  nlohmann::json pending = nlohmann::json::array();
  comm.together([&] {
    for (std::int64_t unit = 0; comm.is_root() && unit < units; ++unit) {
      if (!writer.has_unit(unit)) pending.push_back(unit);
    }
  });
  return nlohmann::json::parse(comm.broadcast(pending.dump()));
}

void leave_if_asked_to_stop(const comm::Communicator& comm) {
  if (!comm.any_of(stop_requested())) return;
  throw_shared_error(ExitCode::kStopped, "stopped on request; run the same command again to carry on");
}

void write_pending_units(const comm::Communicator& comm, StoreWriter& writer, std::int64_t units,
                         std::span<const std::int64_t> pending, const std::string& label,
                         const std::function<Columns(std::int64_t unit)>& make_unit) {
  const std::int64_t pending_count = std::ssize(pending);
  const comm::UnitRange mine = comm::units_of(pending_count, comm.rank(), comm.size());
  const std::int64_t turns = divide_up(pending_count, comm.size());
  Progress progress(label, "units", units, comm.is_root(), units - pending_count);
  for (std::int64_t turn = 0; turn < turns; ++turn) {
    comm.together([&] {
      if (turn >= mine.size()) return;
      const std::int64_t unit = pending[static_cast<std::size_t>(mine.begin + turn)];
      comm::now_doing(label + " unit " + std::to_string(unit));
      writer.write_unit(unit, make_unit(unit));
    });
    progress.advance(std::min<std::int64_t>(comm.size(), pending_count - turn * comm.size()));
    if (turn + 1 < turns) leave_if_asked_to_stop(comm);
  }
}

void finish_store(const comm::Communicator& comm, StoreWriter& writer, std::int64_t units,
                  const std::function<Columns()>& whole) {
  const comm::UnitRange mine = comm::units_of(units, comm.rank(), comm.size());
  nlohmann::json own = nlohmann::json::array();
  comm.together([&] {
    for (std::int64_t unit = mine.begin; unit < mine.end; ++unit) {
      comm::now_doing("checking unit " + std::to_string(unit));
      own.push_back(writer.check_unit(unit));
    }
  });
  std::vector<std::string> sha256;
  for (const std::string& part : comm.gather(own.dump())) {
    for (const auto& digest : nlohmann::json::parse(part)) sha256.push_back(digest.get<std::string>());
  }
  comm.together([&] {
    if (comm.is_root()) writer.finish(whole(), sha256);
  });
}

}  // namespace outsole::store
