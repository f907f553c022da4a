// The faults: what is broken when, and what must come of it. Whatever happens, the same command must afterwards leave
// the bytes of an undisturbed run, or refuse with a message that names the culprit.

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <random>
#include <thread>

#include "../jobs/database.h"
#include "drill.h"

namespace outsole::testing {

namespace fs = std::filesystem;

namespace {

constexpr int kDone = 0, kUsage = 2, kData = 3, kEnvironment = 4, kStopped = 75, kRanks = 2;

void require(bool holds, const std::string& what) {
  if (!holds) throw Failure(what);
}

std::string told(const JobResult& result) {
  return "exit code " + std::to_string(result.exit_code) + (result.timed_out ? ", hung" : "") + ": " + result.errors;
}

void require_exit(const JobResult& result, const std::vector<int>& codes) {
  require(!result.timed_out && std::ranges::count(codes, result.exit_code) > 0, told(result));
}

/// The files that are in one of two folders only, or differ.
std::string difference(const std::map<std::string, std::string>& found, const std::map<std::string, std::string>& due) {
  std::string names;
  for (const auto& [name, digest] : due) {
    const auto other = found.find(name);
    if (other == found.end()) names += " " + name + " (lacking)";
    if (other != found.end() && other->second != digest) names += " " + name;
  }
  for (const auto& [name, digest] : found) {
    if (!due.contains(name)) names += " " + name + " (left over)";
  }
  return names;
}

/// Runs the job again, undisturbed: it must end well with the bytes it always leaves, and say what made them.
Outcome require_same_bytes(const fs::path& folder, const DrilledJob& job) {
  require_exit(run_job(folder, job.command, kRanks), {kDone});
  const auto found = digests(folder / "out");
  require(found == job.bytes, "other bytes than an undisturbed run:" + difference(found, job.bytes));
  const fs::path provenance = (folder / "out" / job.output).replace_extension(".provenance.json");
  require(fs::exists(provenance), "no " + provenance.filename().string());
  return Outcome::kSameBytes;
}

// --- Moments of a run ------------------------------------------------------------------------------------------------

/// A file that a run makes along its way, and what the moment is called.
struct Moment {
  std::string name;
  fs::path file;
};

Moment first_shard(const DrilledJob& job) { return {"first unit", job.shards().front()}; }
Moment half_of_shards(const DrilledJob& job) { return {"half", job.shards()[job.shards().size() / 2]}; }

std::vector<Moment> moments(const DrilledJob& job) {
  const fs::path view = fs::path("out") / job.output;
  return {{"start", fs::path(view).replace_extension(".shards") / "lock"},
          first_shard(job),
          half_of_shards(job),
          {"last unit", job.shards().back()},
          {"finished", view}};
}

// --- Ranks that die, stop, hang --------------------------------------------------------------------------------------

enum class Whom { kAll, kOne };

/// Sends a signal to all ranks, or to one that the seed chooses, when the moment has come.
JobResult signal_at(const fs::path& folder, const DrilledJob& job, const Moment& moment, int signal, Whom whom,
                    unsigned seed) {
  RunningJob running(folder, job.command, kRanks);
  running.wait_for(folder / moment.file);
  const auto ranks = running.rank_processes();
  if (whom == Whom::kAll) {
    running.send(signal);
  } else if (!ranks.empty()) {
    kill(ranks[std::mt19937(seed)() % ranks.size()], signal);
  }
  return running.wait();
}

Outcome kill_at(Drills& drills, const DrilledJob& job, const Moment& moment, Whom whom, unsigned seed) {
  const fs::path folder = drills.fresh_folder();
  const JobResult killed = signal_at(folder, job, moment, SIGKILL, whom, seed);
  require(!killed.timed_out, "the other ranks hang after one was killed");
  return require_same_bytes(folder, job);
}

Outcome terminate_at(Drills& drills, const DrilledJob& job, const Moment& moment, Whom whom, unsigned seed) {
  const fs::path folder = drills.fresh_folder();
  require_exit(signal_at(folder, job, moment, SIGTERM, whom, seed), {kDone, kStopped});
  return require_same_bytes(folder, job);
}

Outcome pause_one(Drills& drills, const DrilledJob& job, unsigned seed) {
  const fs::path folder = drills.fresh_folder();
  RunningJob running(folder, job.command, kRanks);
  running.wait_for(folder / first_shard(job).file);
  const auto ranks = running.rank_processes();
  const pid_t paused = ranks.empty() ? 0 : ranks[std::mt19937(seed)() % ranks.size()];
  if (paused > 0) kill(paused, SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  if (paused > 0) kill(paused, SIGCONT);
  require_exit(running.wait(), {kDone});
  return require_same_bytes(folder, job);
}

/// Stops the job after its first unit, calls `meddle`, and lets it go on.
template <typename Meddle>
JobResult meddle_midway(const fs::path& folder, const DrilledJob& job, const Meddle& meddle) {
  RunningJob running(folder, job.command, kRanks);
  running.wait_for(folder / first_shard(job).file);
  running.send(SIGSTOP);
  meddle();
  running.send(SIGCONT);
  return running.wait();
}

Outcome second_writer(Drills& drills, const DrilledJob& job) {
  const fs::path folder = drills.fresh_folder();
  JobResult second;
  const JobResult first = meddle_midway(folder, job, [&] { second = run_job(folder, job.command, kRanks); });
  const bool was_over = second.exit_code == kDone;  // the first had written everything before it was stopped
  if (!was_over) {
    require_exit(second, {kUsage});
    require(second.errors.find("another job") != std::string::npos, told(second));
  }
  require_exit(first, {kDone});
  require_same_bytes(folder, job);
  return was_over ? Outcome::kSameBytes : Outcome::kRefused;
}

Outcome input_vanishes(Drills& drills, const DrilledJob& job) {
  const fs::path folder = drills.fresh_folder();
  const fs::path link = folder / "in", aside = folder / "aside";
  require_exit(meddle_midway(folder, job, [&] { fs::rename(link, aside); }), {kDone, kData, kEnvironment});
  fs::rename(aside, link);
  return require_same_bytes(folder, job);
}

// --- Disks -----------------------------------------------------------------------------------------------------------

/// out/ of a folder as a small file system of its own. Only root may mount.
class SmallDisk {
 public:
  SmallDisk(fs::path folder, std::int64_t bytes) : folder_(std::move(folder)) { mount_with(0, bytes); }
  ~SmallDisk() { umount2(folder_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  void enlarge() { mount_with(MS_REMOUNT, std::int64_t{1} << 30); }
  void set_read_only() { mount_with(MS_REMOUNT | MS_RDONLY, std::int64_t{1} << 30); }

 private:
  void mount_with(unsigned long flags, std::int64_t bytes) {
    const std::string size = "size=" + std::to_string(bytes);
    require(mount("tmpfs", folder_.c_str(), "tmpfs", flags, size.c_str()) == 0, "cannot mount " + folder_.string());
  }
  fs::path folder_;
};

std::int64_t output_bytes(const Drills& drills, const DrilledJob& job) {
  std::uintmax_t bytes = 0;
  for (const auto& [name, digest] : job.bytes) bytes += fs::file_size(drills.inputs() / name);
  return static_cast<std::int64_t>(bytes);
}

Outcome full_disk(Drills& drills, const DrilledJob& job, double share) {
  if (geteuid() != 0) return Outcome::kSkipped;
  const fs::path folder = drills.fresh_folder();
  SmallDisk disk(folder / "out", static_cast<std::int64_t>(share * static_cast<double>(output_bytes(drills, job))));
  const JobResult full = run_job(folder, job.command, kRanks);
  require_exit(full, {kEnvironment});
  require(full.errors.find("out/") != std::string::npos, "does not name the file: " + told(full));
  disk.enlarge();
  return require_same_bytes(folder, job);
}

Outcome read_only(Drills& drills, const DrilledJob& job) {
  if (geteuid() != 0) return Outcome::kSkipped;
  const fs::path folder = drills.fresh_folder();
  SmallDisk disk(folder / "out", 1 << 20);
  disk.set_read_only();
  const JobResult refused = run_job(folder, job.command, kRanks);
  require_exit(refused, {kEnvironment});
  require(refused.errors.find("out/") != std::string::npos, "does not name the file: " + told(refused));
  disk.enlarge();
  return require_same_bytes(folder, job);
}

// --- Clocks ----------------------------------------------------------------------------------------------------------

/// Carries on from shards that seem to have been written in another age.
Outcome wrong_clock(Drills& drills, const DrilledJob& job, std::chrono::hours offset) {
  const fs::path folder = drills.fresh_folder();
  require_exit(signal_at(folder, job, half_of_shards(job), SIGTERM, Whom::kAll, 0), {kDone, kStopped});
  for (const auto& entry : fs::recursive_directory_iterator(folder / "out")) {
    fs::last_write_time(entry.path(), entry.last_write_time() + offset);
  }
  return require_same_bytes(folder, job);
}

// --- Damage ----------------------------------------------------------------------------------------------------------

/// A change to a file; `other` is a second one for changes that need two.
struct Damage {
  std::string name;
  std::function<void(const fs::path& file, const fs::path& other)> apply;
};

Damage flipped_byte(const std::string& where, double position) {
  return {"flipped byte " + where, [position](const fs::path& file, const fs::path&) {
            std::string bytes = read_bytes(file);
            bytes.at(static_cast<std::size_t>(position * static_cast<double>(bytes.size() - 1))) ^= 0x10;
            write_bytes(file, bytes);
          }};
}

std::vector<Damage> damages() {
  return {
      {"deleted", [](const fs::path& file, const fs::path&) { fs::remove(file); }},
      {"emptied", [](const fs::path& file, const fs::path&) { fs::resize_file(file, 0); }},
      {"cut in half", [](const fs::path& file, const fs::path&) { fs::resize_file(file, fs::file_size(file) / 2); }},
      {"last byte lost", [](const fs::path& file, const fs::path&) { fs::resize_file(file, fs::file_size(file) - 1); }},
      {"swapped",
       [](const fs::path& file, const fs::path& other) {
         const std::string bytes = read_bytes(file);
         fs::copy_file(other, file, fs::copy_options::overwrite_existing);
         write_bytes(other, bytes);
       }},
      flipped_byte("at 0", 0),
      flipped_byte("at 1/4", 0.25),
      flipped_byte("at 1/2", 0.5),
      flipped_byte("at 3/4", 0.75),
      flipped_byte("at the end", 1),
  };
}

/// Own copies of the inputs, to be damaged.
void own_inputs(const fs::path& folder, const fs::path& inputs, const std::string& store) {
  fs::remove(folder / "in");
  fs::create_directory(folder / "in");
  const fs::path shards = fs::path(store).replace_extension(".shards");
  for (const auto& entry : fs::directory_iterator(inputs)) {
    const fs::path name = entry.path().filename();
    if (name == store || name == shards) {
      fs::copy(entry.path(), folder / "in" / name, fs::copy_options::recursive);
    } else {
      fs::create_symlink(entry.path(), folder / "in" / name);
    }
  }
}

/// Damages a store: its second shard (with the first, if two are wanted), or its view (with its first shard).
void damage_store(const fs::path& store, const Damage& damage, bool view) {
  const fs::path shards = fs::path(store).replace_extension(".shards");
  const fs::path first = shards / "00000.h5", second = shards / "00001.h5";
  damage.apply(view ? store : second, first);
}

/// validate must complain about a damaged output.
Outcome validate_damaged(Drills& drills, const DrilledJob& job, const Damage& damage, bool view) {
  const fs::path folder = drills.fresh_folder();
  own_inputs(folder, drills.inputs(), job.output);
  damage_store(folder / "in" / job.output, damage, view);
  const JobResult result = run_job(folder, {"validate", "in/" + job.output});
  require_exit(result, {kData});
  return Outcome::kRefused;
}

/// A job must refuse a damaged input, or not be touched by the damage.
Outcome read_damaged(Drills& drills, const DrilledJob& job, const Damage& damage, bool view) {
  const fs::path folder = drills.fresh_folder();
  own_inputs(folder, drills.inputs(), job.input);
  damage_store(folder / "in" / job.input, damage, view);
  const JobResult result = run_job(folder, job.command, kRanks);
  require_exit(result, {kDone, kData});
  if (result.exit_code == kDone) {
    require(digests(folder / "out") == job.bytes, "took damaged input and left other bytes");
    return Outcome::kSameBytes;
  }
  require(!fs::exists(folder / "out" / job.output), "refused the input and left an output");
  return Outcome::kRefused;
}

/// A shard of a run that was interrupted before its last unit is damaged before the job carries on.
Outcome damage_leftover(Drills& drills, const DrilledJob& job, const Damage& damage) {
  const fs::path folder = drills.fresh_folder();
  const std::vector<fs::path> shards = job.shards();
  const fs::path shards_folder = shards[0].parent_path().filename();
  fs::copy(drills.inputs() / shards_folder, folder / "out" / shards_folder);
  fs::remove(folder / shards.back());
  damage.apply(folder / shards[1], folder / shards[0]);
  const JobResult result = run_job(folder, job.command, kRanks);
  require_exit(result, {kDone, kData});
  if (result.exit_code == kDone) {
    if (digests(folder / "out") == job.bytes) return Outcome::kSameBytes;
    const bool is_noticed = run_job(folder, {"validate", "out"}).exit_code == kData;
    throw Failure(std::string("took a damaged shard of its own; validate ") +
                  (is_noticed ? "names it afterwards" : "does not notice"));
  }
  for (const fs::path& shard : {shards[0], shards[1]}) fs::remove(folder / shard);  // as the message says
  require_same_bytes(folder, job);
  return Outcome::kRefused;
}

// --- The matrix ------------------------------------------------------------------------------------------------------

bool reads_a_store(const DrilledJob& job) { return fs::path(job.input).extension() == ".h5"; }

void add_drills_of(Drills& drills, const DrilledJob& job, std::vector<Drill>& all) {
  const auto add = [&](const std::string& fault, const std::string& phase, auto&& run) {
    const auto seed = static_cast<unsigned>(all.size());
    all.push_back({fault, phase, job.name, [&drills, &job, run, seed] { return run(drills, job, seed); }});
  };
  using J = const DrilledJob&;
  for (const Moment& moment : moments(job)) {
    add("all ranks killed", moment.name,
        [=](Drills& d, J j, unsigned seed) { return kill_at(d, j, moment, Whom::kAll, seed); });
    add("one rank killed", moment.name,
        [=](Drills& d, J j, unsigned seed) { return kill_at(d, j, moment, Whom::kOne, seed); });
  }
  for (const Moment& moment : {first_shard(job), half_of_shards(job)}) {
    add("TERM to all ranks", moment.name,
        [=](Drills& d, J j, unsigned seed) { return terminate_at(d, j, moment, Whom::kAll, seed); });
    add("TERM to one rank", moment.name,
        [=](Drills& d, J j, unsigned seed) { return terminate_at(d, j, moment, Whom::kOne, seed); });
  }
  add("one rank pauses", "first unit", pause_one);
  add("second job writes the same", "first unit", [](Drills& d, J j, unsigned) { return second_writer(d, j); });
  add("input vanishes", "first unit", [](Drills& d, J j, unsigned) { return input_vanishes(d, j); });
  add("disk full", "first unit", [](Drills& d, J j, unsigned) { return full_disk(d, j, 0.1); });
  add("disk full", "last unit", [](Drills& d, J j, unsigned) { return full_disk(d, j, 0.9); });
  add("output is read-only", "start", [](Drills& d, J j, unsigned) { return read_only(d, j); });
  for (const auto& [phase, years] : {std::pair{"10 years back", -10}, {"10 years ahead", 10}}) {
    add("clock wrong", phase,
        [=](Drills& d, J j, unsigned) { return wrong_clock(d, j, std::chrono::hours(24 * 365 * years)); });
  }
  for (const Damage& damage : damages()) {
    add("own shard " + damage.name, "rerun", [=](Drills& d, J j, unsigned) { return damage_leftover(d, j, damage); });
    for (const bool view : {false, true}) {
      const std::string file = view ? "view " : "shard ";
      add(file + damage.name, "validate output",
          [=](Drills& d, J j, unsigned) { return validate_damaged(d, j, damage, view); });
      if (!reads_a_store(job)) continue;
      add(file + damage.name, "read input", [=](Drills& d, J j, unsigned) { return read_damaged(d, j, damage, view); });
    }
  }
}

}  // namespace

std::vector<Drill> all_drills(Drills& drills) {
  std::vector<Drill> all;
  for (const DrilledJob& job : drills.jobs()) add_drills_of(drills, job, all);
  return all;
}

}  // namespace outsole::testing
