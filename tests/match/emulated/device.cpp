#include "match/emulated/device.h"

#include <c10/util/Half.h>
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

namespace outsole::match::gpu {

namespace {

constexpr int kLanesOfWarp = 32;
constexpr std::size_t kStackBytes = 64 << 10;

struct Copy {
  SharedAddress to;
  std::size_t bytes;
  const void* from;  // null: zeros
};

/// What lanes of a warp bring to a place where they meet, and take from it.
struct Lane {
  const void* in = nullptr;
  void* out = nullptr;
};

struct Warp {
  std::array<Lane, kLanesOfWarp> lanes;
  int arrived = 0, meetings = 0;
  int place = 0;  // where the first to come waits
};

struct Thread {
  ucontext_t context;  // to start with; from then on:
  jmp_buf place;
  bool is_started = false;
  std::unique_ptr<char[]> stack;
  bool is_done = false;
  std::vector<std::vector<Copy>> copies;  // sets, oldest first
  std::vector<Copy> begun;
};

struct Block {
  int x = 0, y = 0, width = 0;
  std::vector<Thread> threads;
  std::vector<Warp> warps;
  std::vector<char> shared;
  int at_barrier = 0, barriers = 0;
  int current = 0;
  jmp_buf scheduler;
  void (*kernel)(const void*) = nullptr;
  const void* work = nullptr;
};

Block* block = nullptr;

Thread& self() { return block->threads[static_cast<std::size_t>(block->current)]; }

void give_way() {
  if (_setjmp(self().place) == 0) _longjmp(block->scheduler, 1);
}

/// Lets a thread run until it gives way. (A jump costs no call of the system, as swapcontext does.)
void let_run(Thread& thread) {
  if (_setjmp(block->scheduler) != 0) return;
  if (!std::exchange(thread.is_started, true)) setcontext(&thread.context);
  _longjmp(thread.place, 1);
}

/// The lanes of a warp meet; the last to come does `operation` for all.
void meet_warp(int place, const void* in, void* out,
               const std::function<void(std::array<Lane, kLanesOfWarp>&)>& operation) {
  Warp& warp = block->warps[static_cast<std::size_t>(block->current / kLanesOfWarp)];
  if (warp.arrived == 0) warp.place = place;
  if (warp.place != place) throw std::runtime_error("threads of a warp wait in different places");
  warp.lanes[static_cast<std::size_t>(block->current % kLanesOfWarp)] = {in, out};
  if (++warp.arrived == kLanesOfWarp) {
    operation(warp.lanes);
    warp.arrived = 0;
    ++warp.meetings;
    return;
  }
  for (const int met = warp.meetings; warp.meetings == met;) give_way();
}

float half_at(const void* halves, int index) {
  c10::Half half;
  std::memcpy(&half.x, static_cast<const char*>(halves) + 2 * index, 2);
  return half;
}

void run_thread() {
  block->kernel(block->work);
  self().is_done = true;
  give_way();
}

enum Place { kShuffle = 1, kVote, kLoad, kProduct };

template <typename T>
T shuffled(T value, int lane) {
  struct Input {
    T value;
    int lane;
  } input = {value, lane};
  T result{};
  meet_warp(kShuffle, &input, &result, [](auto& lanes) {
    for (Lane& to : lanes) {
      const auto* in = static_cast<const Input*>(to.in);
      *static_cast<T*>(to.out) = static_cast<const Input*>(lanes[static_cast<std::size_t>(in->lane)].in)->value;
    }
  });
  return result;
}

}  // namespace

int thread_index() { return block->current; }
int block_index_x() { return block->x; }
int block_index_y() { return block->y; }
int grid_width() { return block->width; }
SharedAddress shared_memory() { return 0; }

void meet_block() {
  if (++block->at_barrier == static_cast<int>(block->threads.size())) {
    block->at_barrier = 0;
    ++block->barriers;
    return;
  }
  for (const int met = block->barriers; block->barriers == met;) give_way();
}

/// Where `bytes` of shared memory begin, at a multiple of them.
char* shared_at(SharedAddress address, std::size_t bytes) {
  if (address % bytes != 0 || address + bytes > block->shared.size()) {
    throw std::runtime_error("an address outside of shared memory, or not aligned");
  }
  return block->shared.data() + address;
}

void begin_copy(SharedAddress to, const void* from, bool wanted) {
  shared_at(to, 16);
  self().begun.push_back({to, 16, wanted ? from : nullptr});
}

void begin_copy_of_8(SharedAddress to, const void* from) {
  shared_at(to, 8);
  self().begun.push_back({to, 8, from});
}

void store_float(SharedAddress to, float value) { std::memcpy(shared_at(to, 4), &value, 4); }

int load_short(SharedAddress from) {
  unsigned short value;
  std::memcpy(&value, shared_at(from, 2), 2);
  return value;
}

void load_pair(SharedAddress from, float& first, float& second) {
  const char* const pair = shared_at(from, 8);
  std::memcpy(&first, pair, 4);
  std::memcpy(&second, pair + 4, 4);
}

void end_copies() { self().copies.push_back(std::exchange(self().begun, {})); }

void wait_for_copies_but(int sets) {
  auto& copies = self().copies;
  while (std::ssize(copies) > sets) {
    for (const Copy& copy : copies.front()) {
      char* const to = block->shared.data() + copy.to;
      if (copy.from == nullptr) {
        std::memset(to, 0, copy.bytes);
      } else {
        std::memcpy(to, copy.from, copy.bytes);
      }
    }
    copies.erase(copies.begin());
  }
}

Quad load_quad(SharedAddress from) {
  Quad quad;
  std::memcpy(&quad, shared_at(from, 16), 16);
  return quad;
}

Quad load_matrices_transposed(SharedAddress row) {
  shared_at(row, 16);
  Quad quad{};
  meet_warp(kLoad, &row, &quad, [](auto& lanes) {
    for (int lane = 0; lane < kLanesOfWarp; ++lane) {
      for (int matrix = 0; matrix < 4; ++matrix) {
        unsigned halves = 0;
        for (int j = 0; j < 2; ++j) {  // of the transposed matrix, row lane / 4, columns 2 (lane % 4) and the next
          const Lane& from = lanes[static_cast<std::size_t>(matrix * 8 + 2 * (lane % 4) + j)];
          unsigned short half;
          std::memcpy(&half, block->shared.data() + *static_cast<const SharedAddress*>(from.in) + 2 * (lane / 4), 2);
          halves |= static_cast<unsigned>(half) << (16 * j);
        }
        static_cast<Quad*>(lanes[static_cast<std::size_t>(lane)].out)->part[matrix] = halves;
      }
    }
  });
  return quad;
}

void multiply_add(float (&sum)[4], const Quad& a, unsigned b0, unsigned b1) {
  struct Input {
    Quad a;
    unsigned b[2];
  } const input = {a, {b0, b1}};
  meet_warp(kProduct, &input, sum, [](auto& lanes) {
    double matrix_a[16][16], matrix_b[16][8];
    for (int lane = 0; lane < kLanesOfWarp; ++lane) {
      const auto* in = static_cast<const Input*>(lanes[static_cast<std::size_t>(lane)].in);
      const int row = lane / 4, column = 2 * (lane % 4);
      for (int j = 0; j < 2; ++j) {
        matrix_a[row][column + j] = half_at(&in->a.part[0], j);
        matrix_a[row + 8][column + j] = half_at(&in->a.part[1], j);
        matrix_a[row][column + 8 + j] = half_at(&in->a.part[2], j);
        matrix_a[row + 8][column + 8 + j] = half_at(&in->a.part[3], j);
        matrix_b[column + j][row] = half_at(&in->b[0], j);
        matrix_b[column + 8 + j][row] = half_at(&in->b[1], j);
      }
    }
    for (int lane = 0; lane < kLanesOfWarp; ++lane) {
      auto* const out = static_cast<float*>(lanes[static_cast<std::size_t>(lane)].out);
      for (int i = 0; i < 4; ++i) {
        double total = out[i];
        for (int k = 0; k < 16; ++k) total += matrix_a[lane / 4 + 8 * (i / 2)][k] * matrix_b[k][2 * (lane % 4) + i % 2];
        out[i] = static_cast<float>(total);
      }
    }
  });
}

unsigned multiply_add_halves(unsigned a, unsigned b) {
  const auto of = [&](int index) -> unsigned {
    const float value = half_at(&a, index);
    return c10::Half(value * value + half_at(&b, index)).x;
  };
  return of(0) | of(1) << 16;
}

unsigned sum_of_halves(unsigned a, unsigned b) {
  const auto of = [&](int index) -> unsigned { return c10::Half(half_at(&a, index) + half_at(&b, index)).x; };
  return of(0) | of(1) << 16;
}

unsigned squares_of(unsigned halves) { return multiply_add_halves(halves, 0); }

unsigned short to_half(float value) { return c10::Half(value).x; }
float from_half(unsigned short half) { return half_at(&half, 0); }
float reciprocal_root(float value) { return 1 / std::sqrt(value); }
unsigned from_lane(unsigned value, int lane) { return shuffled(value, lane); }
float from_lane(float value, int lane) { return shuffled(value, lane); }

unsigned lanes_where(bool condition) {
  unsigned result = 0;
  meet_warp(kVote, &condition, &result, [](auto& lanes) {
    unsigned bits = 0;
    for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
      bits |= static_cast<unsigned>(*static_cast<const bool*>(lanes[lane].in)) << lane;
    }
    for (Lane& lane : lanes) *static_cast<unsigned*>(lane.out) = bits;
  });
  return result;
}

void raise_to(unsigned long long* address, unsigned long long value) { *address = std::max(*address, value); }

void run_grid(int grid_x, int grid_y, int threads, int shared_bytes, void (*kernel)(const void* work),
              const void* work) {
  Block running;
  block = &running;
  running.width = grid_x;
  running.kernel = kernel;
  running.work = work;
  running.threads.resize(static_cast<std::size_t>(threads));
  for (Thread& thread : running.threads) thread.stack = std::make_unique<char[]>(kStackBytes);
  for (running.y = 0; running.y < grid_y; ++running.y) {
    for (running.x = 0; running.x < grid_x; ++running.x) {
      running.warps.assign(static_cast<std::size_t>(threads / kLanesOfWarp), {});
      running.shared.assign(static_cast<std::size_t>(shared_bytes), char(0xff));  // halves that are not numbers
      for (Thread& thread : running.threads) {
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.get();
        thread.context.uc_stack.ss_size = kStackBytes;
        thread.context.uc_link = nullptr;
        thread.is_done = thread.is_started = false;
        thread.copies.clear();
        makecontext(&thread.context, run_thread, 0);
      }
      for (bool any = true; any;) {
        any = false;
        for (running.current = 0; running.current < threads; ++running.current) {
          if (self().is_done) continue;
          any = true;
          let_run(self());
        }
      }
    }
  }
  block = nullptr;
}

}  // namespace outsole::match::gpu
