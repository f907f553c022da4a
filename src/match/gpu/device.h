#pragma once
// What a kernel asks of a GPU beyond plain C++: PTX of sm_80 and newer, one function an instruction. No header of a
// CUDA toolkit is needed, so that clang alone makes PTX of a kernel. tests/match/emulated/device.h has the same
// functions for a CPU: there the tests run the kernels' own source.

#ifndef __device__
#define __device__ __attribute__((device))
#define __global__ __attribute__((global))
#define __shared__ __attribute__((shared))
#define __launch_bounds__(...) __attribute__((launch_bounds(__VA_ARGS__)))
#endif

#define OUTSOLE_DEVICE __device__ inline __attribute__((always_inline))
#define OUTSOLE_DEVICE_RARE __device__ __attribute__((noinline))
#define OUTSOLE_KERNEL extern "C" __global__
#define OUTSOLE_UNROLL _Pragma("unroll")

namespace outsole::match::gpu {

/// 16 bytes.
struct alignas(16) Quad {
  unsigned part[4];
};

/// An address in a block's shared memory, in bytes.
using SharedAddress = unsigned;

OUTSOLE_DEVICE int thread_index() {
  int value;
  asm("mov.u32 %0, %%tid.x;" : "=r"(value));
  return value;
}

OUTSOLE_DEVICE int block_index_x() {
  int value;
  asm("mov.u32 %0, %%ctaid.x;" : "=r"(value));
  return value;
}

OUTSOLE_DEVICE int grid_width() {
  int value;
  asm("mov.u32 %0, %%nctaid.x;" : "=r"(value));
  return value;
}

OUTSOLE_DEVICE int block_index_y() {
  int value;
  asm("mov.u32 %0, %%ctaid.y;" : "=r"(value));
  return value;
}

/// The block's shared memory, as large as its launch says.
OUTSOLE_DEVICE SharedAddress shared_memory() {
  extern __shared__ Quad shared[];
  SharedAddress address;
  asm("{.reg .u64 a; cvta.to.shared.u64 a, %1; cvt.u32.u64 %0, a;}" : "=r"(address) : "l"(shared));
  return address;
}

/// Returns when every thread of the block has come here.
OUTSOLE_DEVICE void meet_block() { asm volatile("bar.sync 0;" ::: "memory"); }

/// Begins to copy 16 bytes to shared memory; zeros unless `wanted`, and then nothing is read.
OUTSOLE_DEVICE void begin_copy(SharedAddress to, const void* from, bool wanted) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(wanted ? 16 : 0) : "memory");
}

/// Ends a set of copies begun by this thread.
OUTSOLE_DEVICE void end_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }

/// Waits until all but the last `Sets` sets have arrived.
template <int Sets>
OUTSOLE_DEVICE void wait_for_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Sets) : "memory");
}

/// The same of 8 bytes, always.
OUTSOLE_DEVICE void begin_copy_of_8(SharedAddress to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(to), "l"(from) : "memory");
}

OUTSOLE_DEVICE void store_float(SharedAddress to, float value) {
  asm volatile("st.shared.f32 [%0], %1;" ::"r"(to), "f"(value) : "memory");
}

OUTSOLE_DEVICE int load_short(SharedAddress from) {
  unsigned short value;
  asm volatile("ld.shared.u16 %0, [%1];" : "=h"(value) : "r"(from));
  return value;
}

/// Two floats one after another, at a multiple of 8 bytes.
OUTSOLE_DEVICE void load_pair(SharedAddress from, float& first, float& second) {
  asm volatile("ld.shared.v2.f32 {%0, %1}, [%2];" : "=f"(first), "=f"(second) : "r"(from));
}

OUTSOLE_DEVICE Quad load_quad(SharedAddress from) {
  Quad quad;
  asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(quad.part[0]), "=r"(quad.part[1]), "=r"(quad.part[2]), "=r"(quad.part[3])
               : "r"(from));
  return quad;
}

/// Four matrices of 8 x 8 halves, transposed: lane l gives the address of row l % 8 of matrix l / 8.
OUTSOLE_DEVICE Quad load_matrices_transposed(SharedAddress row) {
  Quad quad;
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(quad.part[0]), "=r"(quad.part[1]), "=r"(quad.part[2]), "=r"(quad.part[3])
               : "r"(row));
  return quad;
}

/// sum += a b, of a warp: a [16 x 16] and b [16 x 8] of halves, sum [16 x 8] in 32 bit.
OUTSOLE_DEVICE void multiply_add(float (&sum)[4], const Quad& a, unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a.part[0]), "r"(a.part[1]), "r"(a.part[2]), "r"(a.part[3]), "r"(b0), "r"(b1));
}

/// The squares of two halves.
OUTSOLE_DEVICE unsigned squares_of(unsigned halves) {
  unsigned squares;
  asm("mul.rn.f16x2 %0, %1, %1;" : "=r"(squares) : "r"(halves));
  return squares;
}

/// a + b, of two halves each.
OUTSOLE_DEVICE unsigned sum_of_halves(unsigned a, unsigned b) {
  unsigned sum;
  asm("add.rn.f16x2 %0, %1, %2;" : "=r"(sum) : "r"(a), "r"(b));
  return sum;
}

/// a^2 + b, of two halves each.
OUTSOLE_DEVICE unsigned multiply_add_halves(unsigned a, unsigned b) {
  unsigned sum;
  asm("fma.rn.f16x2 %0, %1, %1, %2;" : "=r"(sum) : "r"(a), "r"(b));
  return sum;
}

OUTSOLE_DEVICE unsigned short to_half(float value) {
  unsigned short half;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
  return half;
}

OUTSOLE_DEVICE float from_half(unsigned short half) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
  return value;
}

OUTSOLE_DEVICE float reciprocal_root(float value) {
  float root;
  asm("rsqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(value));
  return root;
}

OUTSOLE_DEVICE unsigned bits_of(float value) {
  unsigned bits;
  asm("mov.b32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
}

OUTSOLE_DEVICE float float_of(unsigned bits) {
  float value;
  asm("mov.b32 %0, %1;" : "=f"(value) : "r"(bits));
  return value;
}

/// `value` of another lane of the warp. All lanes come here.
OUTSOLE_DEVICE unsigned from_lane(unsigned value, int lane) {
  unsigned other;
  asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(other) : "r"(value), "r"(lane));
  return other;
}

OUTSOLE_DEVICE float from_lane(float value, int lane) {
  float other;
  asm volatile("shfl.sync.idx.b32 %0, %1, %2, 31, 0xffffffff;" : "=f"(other) : "f"(value), "r"(lane));
  return other;
}

OUTSOLE_DEVICE int min_of(int a, int b) { return a < b ? a : b; }

/// The lowest bit that is set, counted from 0.
OUTSOLE_DEVICE int first_bit(unsigned bits) {
  unsigned reversed, place;
  asm("brev.b32 %0, %1;" : "=r"(reversed) : "r"(bits));
  asm("bfind.u32 %0, %1;" : "=r"(place) : "r"(reversed));
  return 31 - static_cast<int>(place);
}

/// A bit a lane. All lanes come here.
OUTSOLE_DEVICE unsigned lanes_where(bool condition) {
  unsigned lanes;
  asm volatile("{.reg .pred p; setp.ne.u32 p, %1, 0; vote.sync.ballot.b32 %0, p, 0xffffffff;}"
               : "=r"(lanes)
               : "r"(condition ? 1 : 0));
  return lanes;
}

OUTSOLE_DEVICE void raise_to(unsigned long long* address, unsigned long long value) {
  asm volatile("red.global.max.u64 [%0], %1;" ::"l"(address), "l"(value) : "memory");
}

}  // namespace outsole::match::gpu
