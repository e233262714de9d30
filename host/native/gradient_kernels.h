// Sums of products of packed numbers in f32: of bf16 by AVX512-BF16, which multiplies pairs, so that a word of 32 bits holds a column's
// numbers of two rows, the first in its lower half; and of f32 by AVX2, a word a number. Each arithmetic is a struct: what it
// multiplies, how that is packed, and of how many rows and columns its registers hold sums.

#pragma once

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#include <array>
#include <cstdint>

#define INFOMAX_PAIRS __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"), optimize("O3")))
#define INFOMAX_SINGLES __attribute__((target("avx2,fma"), optimize("O3")))

// By which a block's sums are made, over so many words: a left word of each row lies beside the next row's, a right word of each column
// beside the next column's. The sums are put at `to`, or added to what is there.
template <typename Word>
using Multiply = void (*)(const Word* left, const Word* right, int64_t words, float* to, int64_t step, bool adds);

template <int Rows>
INFOMAX_PAIRS static void multiply_pairs(const uint32_t* left, const uint32_t* right, int64_t words, float* to, int64_t step, bool adds) {
  for (int r = 0; r < Rows; ++r) {
    __builtin_prefetch(to + r * step, 1);
    __builtin_prefetch(to + r * step + 16, 1);
  }
  __m512 sums[Rows][2];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) sums[r][0] = sums[r][1] = _mm512_setzero_ps();
  for (int64_t k = 0; k < words; ++k, left += Rows, right += 32) {
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

template <int Rows>
INFOMAX_SINGLES static void multiply_singles(const float* left, const float* right, int64_t words, float* to, int64_t step, bool adds) {
  for (int r = 0; r < Rows; ++r) __builtin_prefetch(to + r * step, 1);
  __m256 sums[Rows][2];
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) sums[r][0] = sums[r][1] = _mm256_setzero_ps();
  for (int64_t k = 0; k < words; ++k, left += Rows, right += 16) {
    const __m256 one = _mm256_loadu_ps(right), two = _mm256_loadu_ps(right + 8);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const __m256 word = _mm256_broadcast_ss(left + r);
      sums[r][0] = _mm256_fmadd_ps(word, one, sums[r][0]);
      sums[r][1] = _mm256_fmadd_ps(word, two, sums[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) {
    float* at = to + r * step;
    if (adds) {
      sums[r][0] = _mm256_add_ps(sums[r][0], _mm256_loadu_ps(at));
      sums[r][1] = _mm256_add_ps(sums[r][1], _mm256_loadu_ps(at + 8));
    }
    _mm256_storeu_ps(at, sums[r][0]);
    _mm256_storeu_ps(at + 8, sums[r][1]);
  }
}

struct Pairs {
  using Number = uint16_t;
  using Word = uint32_t;

  static constexpr int64_t kRows = 2;    // of the matrices, in a word
  static constexpr int64_t kPanel = 32;  // columns of the right one at a time: two registers
  static constexpr int kMostRows = 14;   // of the left one: their sums take 28 of the 32 registers
  static constexpr int kSpill = 16;      // words that `pack_few` writes

  static constexpr std::array<Multiply<Word>, kMostRows + 1> kMultiply = {
      nullptr,           multiply_pairs<1>,  multiply_pairs<2>,  multiply_pairs<3>,  multiply_pairs<4>,
      multiply_pairs<5>, multiply_pairs<6>,  multiply_pairs<7>,  multiply_pairs<8>,  multiply_pairs<9>,
      multiply_pairs<10>, multiply_pairs<11>, multiply_pairs<12>, multiply_pairs<13>, multiply_pairs<14>};

  static bool is_there() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool has_pairs = __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 5 & 1);
    return has_pairs && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  }

  // With AMX oneDNN does better.
  static bool pays() {
    unsigned a = 0, b = 0, c = 0, d = 0;
    const bool has_tiles = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d >> 22 & 1);
    return is_there() && !has_tiles;
  }

  // Words of `count` numbers of two rows, from column `first` on.
  INFOMAX_PAIRS static void pack_few(const Number* const* rows, int64_t first, int count, Word* to) {
    const auto mask = static_cast<__mmask16>((1u << count) - 1);
    const __m512i low = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, rows[0] + first));
    const __m512i high = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, rows[1] + first));
    _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
  }

  // Words of a panel from column `first` on, of an even count of rows.
  INFOMAX_PAIRS static void pack_panel(const Number* const* rows, int64_t count, int64_t first, Word* to) {
    constexpr int64_t kAhead = 16;
    alignas(64) static constexpr std::array<uint16_t, 32> kOrder = {0, 32, 1, 33, 2,  34, 3,  35, 4,  36, 5,  37, 6,  38, 7,  39,
                                                                    8, 40, 9, 41, 10, 42, 11, 43, 12, 44, 13, 45, 14, 46, 15, 47};
    const __m512i low = _mm512_load_si512(kOrder.data()), high = _mm512_add_epi16(low, _mm512_set1_epi16(16));
    for (int64_t k = 0; k < count; k += 2, to += kPanel) {
      if (k + kAhead < count) {
        __builtin_prefetch(rows[k + kAhead] + first);
        __builtin_prefetch(rows[k + kAhead + 1] + first);
      }
      const __m512i one = _mm512_loadu_si512(rows[k] + first), two = _mm512_loadu_si512(rows[k + 1] + first);
      _mm512_storeu_si512(to, _mm512_permutex2var_epi16(one, low, two));
      _mm512_storeu_si512(to + 16, _mm512_permutex2var_epi16(one, high, two));
    }
  }

  // The sums of `parts` matrices of n · kPanel numbers, `step` from each other, in their order, rounded.
  INFOMAX_PAIRS static void join(const float* from, int64_t parts, int64_t step, int64_t count, Number* to) {
    for (int64_t k = 0; k < count; k += 16) {
      __m512 sum = _mm512_loadu_ps(from + k);
      for (int64_t part = 1; part < parts; ++part) sum = _mm512_add_ps(sum, _mm512_loadu_ps(from + part * step + k));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + k), (__m256i)_mm512_cvtneps_pbh(sum));
    }
  }
};

struct Singles {
  using Number = float;
  using Word = float;

  static constexpr int64_t kRows = 1;
  static constexpr int64_t kPanel = 16;
  static constexpr int kMostRows = 6;  // 12 of the 16 registers
  static constexpr int kSpill = 8;

  static constexpr std::array<Multiply<Word>, kMostRows + 1> kMultiply = {
      nullptr,             multiply_singles<1>, multiply_singles<2>, multiply_singles<3>,
      multiply_singles<4>, multiply_singles<5>, multiply_singles<6>};

  static bool is_there() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

  // oneDNN's kernels for AVX-512 are near the processor's peak.
  static bool pays() { return is_there() && !__builtin_cpu_supports("avx512f"); }

  INFOMAX_SINGLES static void pack_few(const Number* const* rows, int64_t first, int count, Word* to) {
    alignas(32) static constexpr std::array<int, 16> kMask = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};
    const __m256i mask = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMask.data() + 8 - count));
    _mm256_storeu_ps(to, _mm256_maskload_ps(rows[0] + first, mask));
  }

  INFOMAX_SINGLES static void pack_panel(const Number* const* rows, int64_t count, int64_t first, Word* to) {
    constexpr int64_t kAhead = 16;
    for (int64_t k = 0; k < count; ++k, to += kPanel) {
      if (k + kAhead < count) __builtin_prefetch(rows[k + kAhead] + first);
      _mm256_storeu_ps(to, _mm256_loadu_ps(rows[k] + first));
      _mm256_storeu_ps(to + 8, _mm256_loadu_ps(rows[k] + first + 8));
    }
  }

  INFOMAX_SINGLES static void join(const float* from, int64_t parts, int64_t step, int64_t count, Number* to) {
    for (int64_t k = 0; k < count; k += 8) {
      __m256 sum = _mm256_loadu_ps(from + k);
      for (int64_t part = 1; part < parts; ++part) sum = _mm256_add_ps(sum, _mm256_loadu_ps(from + part * step + k));
      _mm256_storeu_ps(to + k, sum);
    }
  }
};

#endif
