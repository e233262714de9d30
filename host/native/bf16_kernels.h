// Sums of products of bf16 numbers in f32 by AVX512-BF16, which multiplies pairs: a word of 32 bits holds a column's numbers of two
// rows, the first in its lower half. What is multiplied is packed so first.

#pragma once

#include <array>
#include <cstdint>

namespace bf16 {

// Columns of a panel of the right matrix: two registers.
constexpr int64_t kPanel = 32;

}  // namespace bf16

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define INFOMAX_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"), optimize("O3")))

namespace bf16 {

// The most rows of the left matrix at a time: their sums take 28 of the 32 registers.
constexpr int kMostRows = 14;

// Whether the processor has these instructions, and not AMX, with which oneDNN does better.
inline bool is_best() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  const bool has_tiles = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
  const bool has_pairs = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
  return has_pairs && !has_tiles && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
}

// Rows × kPanel sums over `pairs`, put at `to` or added to what is there; the left matrix's rows lie one word after the other.
template <int Rows>
INFOMAX_BF16 static void multiply(const uint32_t* left, const uint32_t* right, int64_t pairs, float* to, int64_t step, bool adds) {
  for (int r = 0; r < Rows; ++r) {
    __builtin_prefetch(to + r * step, 1);
    __builtin_prefetch(to + r * step + 16, 1);
  }
  __m512 sums[Rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (int64_t q = 0; q < pairs; ++q, left += Rows, right += kPanel) {
    const auto one = (__m512bh)_mm512_loadu_si512(right), two = (__m512bh)_mm512_loadu_si512(right + 16);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const auto word = (__m512bh)_mm512_set1_epi32(static_cast<int>(left[r]));
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], word, one);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], word, two);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
    float* at = to + r * step;
    if (adds) {
      sums[r][0] = _mm512_add_ps(sums[r][0], _mm512_loadu_ps(at));
      sums[r][1] = _mm512_add_ps(sums[r][1], _mm512_loadu_ps(at + 16));
    }
    _mm512_storeu_ps(at, sums[r][0]);
    _mm512_storeu_ps(at + 16, sums[r][1]);
  }
}

using Multiply = void (*)(const uint32_t*, const uint32_t*, int64_t, float*, int64_t, bool);

// By how many rows.
constexpr std::array<Multiply, kMostRows + 1> kMultiply = {
    nullptr,     multiply<1>, multiply<2>,  multiply<3>,  multiply<4>,  multiply<5>,  multiply<6>, multiply<7>,
    multiply<8>, multiply<9>, multiply<10>, multiply<11>, multiply<12>, multiply<13>, multiply<14>};

// Words of the first `count` (16 at most) numbers of two rows; 16 are written.
INFOMAX_BF16 static inline void pack_few(const uint16_t* first, const uint16_t* second, int count, uint32_t* to) {
  const auto mask = static_cast<__mmask16>((1u << count) - 1);
  const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, first));
  const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, second));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

// Words of kPanel numbers of each of an even count of rows, from `offset` on.
INFOMAX_BF16 static void pack_panel(const uint16_t* const* rows, int64_t count, int64_t offset, uint32_t* to) {
  constexpr int64_t kAhead = 16;
  alignas(64) static constexpr std::array<uint16_t, 32> kOrder = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                                  8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
  const __m512i low = _mm512_load_si512(kOrder.data()), high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
  for (int64_t k = 0; k < count; k += 2, to += kPanel) {
    if (k + kAhead < count) {
      __builtin_prefetch(rows[k + kAhead] + offset);
      __builtin_prefetch(rows[k + kAhead + 1] + offset);
    }
    const __m512i one = _mm512_loadu_si512(rows[k] + offset), two = _mm512_loadu_si512(rows[k + 1] + offset);
    _mm512_storeu_si512(to, _mm512_permutex2var_epi16(one, low, two));
    _mm512_storeu_si512(to + 16, _mm512_permutex2var_epi16(one, high, two));
  }
}

// The sums of `parts` matrices of kPanel · n numbers, `step` from each other, in their order, rounded.
INFOMAX_BF16 static void round_sums(const float* from, int64_t parts, int64_t step, int64_t count, uint16_t* to) {
  for (int64_t k = 0; k < count; k += 16) {
    __m512 sum = _mm512_loadu_ps(from + k);
    for (int64_t part = 1; part < parts; ++part) sum = _mm512_add_ps(sum, _mm512_loadu_ps(from + part * step + k));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k), (__m256i)_mm512_cvtneps_pbh(sum));
  }
}

}  // namespace bf16

#endif
