#pragma once
// src/match/gpu/device.h for a CPU: a block of threads is a set of fibers, which take turns where a GPU's threads wait
// for one another. What is written here is what the instructions are documented to do, in the order that reveals most:
// a copy arrives when it is waited for, and not before.

#include <bit>
#include <cstdint>

#define OUTSOLE_DEVICE inline
#define OUTSOLE_DEVICE_RARE inline
#define OUTSOLE_KERNEL inline
#define OUTSOLE_UNROLL

namespace outsole::match::gpu {

struct alignas(16) Quad {
  unsigned part[4];
};

using SharedAddress = unsigned;

int thread_index();
int block_index_x();
int block_index_y();
int grid_width();
SharedAddress shared_memory();
void meet_block();
void begin_copy(SharedAddress to, const void* from, bool wanted);
void begin_copy_of_8(SharedAddress to, const void* from);
void end_copies();
void wait_for_copies_but(int sets);
template <int Sets>
void wait_for_copies() {
  wait_for_copies_but(Sets);
}
void store_float(SharedAddress to, float value);
int load_short(SharedAddress from);
void load_pair(SharedAddress from, float& first, float& second);
Quad load_quad(SharedAddress from);
Quad load_matrices_transposed(SharedAddress row);
void multiply_add(float (&sum)[4], const Quad& a, unsigned b0, unsigned b1);
unsigned squares_of(unsigned halves);
unsigned sum_of_halves(unsigned a, unsigned b);
unsigned multiply_add_halves(unsigned a, unsigned b);
unsigned short to_half(float value);
float from_half(unsigned short half);
float reciprocal_root(float value);
inline unsigned bits_of(float value) { return std::bit_cast<unsigned>(value); }
inline float float_of(unsigned bits) { return std::bit_cast<float>(bits); }
inline int min_of(int a, int b) { return a < b ? a : b; }
inline int first_bit(unsigned bits) { return std::countr_zero(bits); }
unsigned from_lane(unsigned value, int lane);
float from_lane(float value, int lane);
unsigned lanes_where(bool condition);
void raise_to(unsigned long long* address, unsigned long long value);

/// Runs `kernel` for every thread of a grid of blocks of `threads` threads, `shared_bytes` of shared memory each.
/// Throws std::runtime_error where threads of a warp do not come to the same place.
void run_grid(int grid_x, int grid_y, int threads, int shared_bytes, void (*kernel)(const void* work),
              const void* work);

}  // namespace outsole::match::gpu
