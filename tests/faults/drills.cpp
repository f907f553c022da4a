// The faults: what is broken when, and what must come of it. Whatever happens, the same command must afterwards leave
// the bytes of an undisturbed run, or refuse with a message that names the culprit.

#include <sys/mount.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <random>
#include <thread>

#include "../jobs/files.h"
#include "drill.h"

namespace outsole::testing {

namespace fs = std::filesystem;

namespace {

constexpr int kDone = 0, kUsage = 2, kData = 3, kEnvironment = 4, kStopped = 75, kRanks = 2;
constexpr std::chrono::seconds kPatience{300};  // a job that takes longer hangs

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
  require_exit(run_job(folder, job.command, kRanks, kPatience), {kDone});
  const auto found = results_in(folder / "out");
  require(found == job.results, "other bytes than an undisturbed run:" + difference(found, job.results));
  const fs::path provenance = (folder / job.view()).replace_extension(".provenance.json");
  require(fs::exists(provenance), "no " + provenance.filename().string());
  return Outcome::kSameBytes;
}

// --- Moments of a run ------------------------------------------------------------------------------------------------

/// A file that a run makes along its way, and what the moment is called.
struct Moment {
  std::string name;
  fs::path file;
};

Moment first_unit(const DrilledJob& job) { return {"first unit", job.units.front()}; }
Moment half(const DrilledJob& job) { return {"half", job.units[job.units.size() / 2]}; }

std::vector<Moment> moments(const DrilledJob& job) {
  return {{"start", job.lock}, first_unit(job), half(job), {"last unit", job.units.back()}, {"finished", job.view()}};
}

// --- Ranks that die, stop, hang --------------------------------------------------------------------------------------

enum class Whom { kAll, kOne };

pid_t choose(const std::vector<pid_t>& ranks, unsigned seed) {
  return ranks.empty() ? 0 : ranks[std::mt19937(seed)() % ranks.size()];
}

/// Sends a signal to all ranks, or to one that the seed chooses, when the moment has come.
JobResult signal_at(const fs::path& folder, const DrilledJob& job, const Moment& moment, int signal, Whom whom,
                    unsigned seed) {
  RunningJob running(folder, job.command, kRanks);
  running.wait_for(folder / moment.file);
  if (whom == Whom::kAll) {
    running.send(signal);
  } else if (const pid_t rank = choose(running.rank_processes(), seed); rank > 0) {
    kill(rank, signal);
  }
  return running.wait(kPatience);
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

/// A rank is stopped for good: the other ends the job, naming it.
Outcome hang_one(Drills& drills, const DrilledJob& job, const Moment& moment, unsigned seed) {
  const fs::path folder = drills.fresh_folder();
  std::vector<std::string> command = job.command;
  command.insert(command.end(), {"--watchdog-minutes", "0.05"});
  RunningJob running(folder, command, kRanks);
  running.wait_for(folder / moment.file);
  const pid_t stopped = choose(running.rank_processes(), seed);
  if (stopped > 0) kill(stopped, SIGSTOP);
  const JobResult result = running.wait(kPatience);
  if (result.exit_code != kDone || result.timed_out) {  // it was not too late to stop it
    require_exit(result, {kEnvironment});
    require(result.errors.find("hangs: process " + std::to_string(stopped)) != std::string::npos,
            "does not name the rank: " + told(result));
  }
  return require_same_bytes(folder, job);
}

Outcome pause_one(Drills& drills, const DrilledJob& job, unsigned seed) {
  const fs::path folder = drills.fresh_folder();
  RunningJob running(folder, job.command, kRanks);
  running.wait_for(folder / first_unit(job).file);
  const pid_t paused = choose(running.rank_processes(), seed);
  if (paused > 0) kill(paused, SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  if (paused > 0) kill(paused, SIGCONT);
  require_exit(running.wait(kPatience), {kDone});
  return require_same_bytes(folder, job);
}

/// Stops the job after its first unit, calls `meddle`, and lets it go on.
template <typename Meddle>
JobResult meddle_midway(const fs::path& folder, const DrilledJob& job, const Meddle& meddle) {
  RunningJob running(folder, job.command, kRanks);
  running.wait_for(folder / first_unit(job).file);
  running.send(SIGSTOP);
  meddle();
  running.send(SIGCONT);
  return running.wait(kPatience);
}

Outcome second_writer(Drills& drills, const DrilledJob& job) {
  const fs::path folder = drills.fresh_folder();
  JobResult second;
  const JobResult first = meddle_midway(folder, job, [&] { second = run_job(folder, job.command, kRanks, kPatience); });
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

std::int64_t output_bytes(const DrilledJob& job) {
  std::uintmax_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(job.undisturbed)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return static_cast<std::int64_t>(bytes);
}

Outcome full_disk(Drills& drills, const DrilledJob& job, double share) {
  if (geteuid() != 0) return Outcome::kSkipped;
  const fs::path folder = drills.fresh_folder();
  SmallDisk disk(folder / "out", static_cast<std::int64_t>(share * static_cast<double>(output_bytes(job))));
  const JobResult full = run_job(folder, job.command, kRanks, kPatience);
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
  const JobResult refused = run_job(folder, job.command, kRanks, kPatience);
  require_exit(refused, {kEnvironment});
  // A run folder is out/ itself.
  require(refused.errors.find("out/") != std::string::npos || refused.errors.find("out:") != std::string::npos,
          "does not name the file: " + told(refused));
  disk.enlarge();
  return require_same_bytes(folder, job);
}

// --- Clocks ----------------------------------------------------------------------------------------------------------

/// libfaketime, which tells a process another time of day; empty where it is not installed.
fs::path faketime_library() {
  for (const char* machine : {"x86_64-linux-gnu", "aarch64-linux-gnu"}) {
    const fs::path library = fs::path("/usr/lib") / machine / "faketime/libfaketimeMT.so.1";
    if (fs::exists(library)) return library;
  }
  return {};
}

/// A clock that reads its offset from a file, anew each time. What measures durations goes on as ever, as it does when
/// a real clock is set.
std::vector<std::string> clock_of(const fs::path& offset) {
  return {"LD_PRELOAD=" + faketime_library().string(), "FAKETIME_TIMESTAMP_FILE=" + offset.string(),
          "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1", "NO_FAKE_STAT=1"};
}

/// The clock is set back by a year while the job runs, and stands there when it runs again.
Outcome clock_goes_back(Drills& drills, const DrilledJob& job, bool between_runs) {
  if (faketime_library().empty()) return Outcome::kSkipped;
  const fs::path folder = drills.fresh_folder(), offset = folder / "clock";
  const auto set_back = [&] { write_bytes(offset, "-365d"); };
  write_bytes(offset, "+0d");
  RunningJob running(folder, job.command, kRanks, clock_of(offset));
  running.wait_for(folder / first_unit(job).file);
  if (!between_runs) set_back();
  if (between_runs) running.send(SIGTERM);
  require_exit(running.wait(kPatience), {kDone, kStopped});
  set_back();
  RunningJob again(folder, job.command, kRanks, clock_of(offset));
  require_exit(again.wait(kPatience), {kDone});
  return require_same_bytes(folder, job);
}

/// Carries on from shards that seem to have been written in another age.
Outcome wrong_clock(Drills& drills, const DrilledJob& job, std::chrono::hours offset) {
  const fs::path folder = drills.fresh_folder();
  require_exit(signal_at(folder, job, half(job), SIGTERM, Whom::kAll, 0), {kDone, kStopped});
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

/// Damages a store's last shard of two, or its view; with its first shard or its view, if two files are wanted.
void damage_store(const fs::path& store, const Damage& damage, bool view) {
  const fs::path shards = fs::path(store).replace_extension(".shards");
  const fs::path first = shards / "00000.h5", second = shards / "00001.h5";
  if (view) return damage.apply(store, first);
  fs::exists(second) ? damage.apply(second, first) : damage.apply(first, store);
}

/// validate must complain about a damaged output.
Outcome validate_damaged(Drills& drills, const DrilledJob& job, const Damage& damage, bool view) {
  const fs::path folder = drills.fresh_folder();
  own_inputs(folder, drills.inputs(), job.output);
  damage_store(folder / "in" / job.output, damage, view);
  const JobResult result = run_job(folder, {"validate", "in/" + job.output}, 0, kPatience);
  require_exit(result, {kData});
  return Outcome::kRefused;
}

/// A job must refuse a damaged input, or not be touched by the damage.
Outcome read_damaged(Drills& drills, const DrilledJob& job, const Damage& damage, bool view) {
  const fs::path folder = drills.fresh_folder();
  own_inputs(folder, drills.inputs(), job.input);
  damage_store(folder / "in" / job.input, damage, view);
  const JobResult result = run_job(folder, job.command, kRanks, kPatience);
  require_exit(result, {kDone, kData});
  if (result.exit_code == kDone) {
    require(results_in(folder / "out") == job.results, "took damaged input and left other bytes");
    return Outcome::kSameBytes;
  }
  require(!fs::exists(folder / job.view()), "refused the input and left an output");
  return Outcome::kRefused;
}

/// A shard of a run that was interrupted before its last unit, or the newest checkpoint of one that has no model yet,
/// is damaged before the job carries on.
Outcome damage_leftover(Drills& drills, const DrilledJob& job, const Damage& damage) {
  const fs::path folder = drills.fresh_folder();
  fs::copy(job.undisturbed, folder / "out", fs::copy_options::recursive);
  fs::remove(folder / job.view());
  fs::remove_all(folder / job.not_made);
  damage.apply(folder / job.own, folder / job.own_other);
  const JobResult result = run_job(folder, job.command, kRanks, kPatience);
  require_exit(result, {kDone, kData});
  if (result.exit_code == kDone) {
    if (results_in(folder / "out") == job.results) return Outcome::kSameBytes;
    const bool is_noticed = run_job(folder, {"validate", "out"}, 0, kPatience).exit_code == kData;
    throw Failure(std::string("took a damaged shard of its own; validate ") +
                  (is_noticed ? "names it afterwards" : "does not notice"));
  }
  for (const fs::path& file : {job.own, job.own_other}) fs::remove(folder / file);  // as the message says
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
  for (const Moment& moment : {first_unit(job), half(job)}) {
    add("TERM to all ranks", moment.name,
        [=](Drills& d, J j, unsigned seed) { return terminate_at(d, j, moment, Whom::kAll, seed); });
    add("TERM to one rank", moment.name,
        [=](Drills& d, J j, unsigned seed) { return terminate_at(d, j, moment, Whom::kOne, seed); });
  }
  add("one rank pauses", "first unit", pause_one);
  for (const Moment& moment : {first_unit(job), half(job)}) {
    add("one rank hangs for ever", moment.name,
        [=](Drills& d, J j, unsigned seed) { return hang_one(d, j, moment, seed); });
  }
  add("second job writes the same", "first unit", [](Drills& d, J j, unsigned) { return second_writer(d, j); });
  add("input vanishes", "first unit", [](Drills& d, J j, unsigned) { return input_vanishes(d, j); });
  add("disk full", "first unit", [](Drills& d, J j, unsigned) { return full_disk(d, j, 0.1); });
  add("disk full", "last unit", [](Drills& d, J j, unsigned) { return full_disk(d, j, 0.9); });
  add("output is read-only", "start", [](Drills& d, J j, unsigned) { return read_only(d, j); });
  for (const auto& [phase, years] : {std::pair{"10 years back", -10}, {"10 years ahead", 10}}) {
    add("clock wrong", phase,
        [=](Drills& d, J j, unsigned) { return wrong_clock(d, j, std::chrono::hours(24 * 365 * years)); });
  }
  add("clock goes back a year", "midway", [](Drills& d, J j, unsigned) { return clock_goes_back(d, j, false); });
  add("clock goes back a year", "between runs", [](Drills& d, J j, unsigned) { return clock_goes_back(d, j, true); });
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
  // Row by row of the matrix, so that a run that is cut short has drilled all jobs alike.
  std::map<std::pair<std::string, std::string>, std::size_t> rows;
  for (const Drill& drill : all) rows.try_emplace({drill.fault, drill.phase}, rows.size());
  std::ranges::stable_sort(all, {}, [&](const Drill& drill) { return rows.at({drill.fault, drill.phase}); });
  return all;
}

}  // namespace outsole::testing
