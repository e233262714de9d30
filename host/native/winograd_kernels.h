// The transforms of Winograd's F(2×2, 3×3) and F(3×3, 2×2) (Lavin, Gray 2015: "Fast Algorithms for Convolutional Neural Networks") of
// maps that lie channels-last, f32: a tile of 2×2 or 3×3 outputs sees 4×4 inputs, and 16 numbers a channel ("positions") replace
// both. The points are 0, 1, −1 and infinity for either. Channels lie one after the other, and are what is vectorised.

#pragma once

#include "wide.h"

#include <cstdint>

// Loops over channels: no two of their pointers meet.
#if defined(__clang__)
#define INFOMAX_CHANNELS _Pragma("clang loop vectorize(assume_safety)")
#else
#define INFOMAX_CHANNELS _Pragma("GCC ivdep")
#endif

namespace winograd {

constexpr int kPositions = 16;

// Bᵀ d B of the 4×4 numbers of a tile; position p is written at `to` + p · step.
INFOMAX_WIDE static void input_tile(const float* const* pixels, int64_t channels, float* to, int64_t step) {
  const float *p00 = pixels[0], *p01 = pixels[1], *p02 = pixels[2], *p03 = pixels[3];
  const float *p10 = pixels[4], *p11 = pixels[5], *p12 = pixels[6], *p13 = pixels[7];
  const float *p20 = pixels[8], *p21 = pixels[9], *p22 = pixels[10], *p23 = pixels[11];
  const float *p30 = pixels[12], *p31 = pixels[13], *p32 = pixels[14], *p33 = pixels[15];
  INFOMAX_CHANNELS
  for (int64_t c = 0; c < channels; ++c) {
    const float d10 = p10[c], d11 = p11[c], d12 = p12[c], d13 = p13[c];
    const float d20 = p20[c], d21 = p21[c], d22 = p22[c], d23 = p23[c];
    const float a0 = p00[c] - d20, a1 = p01[c] - d21, a2 = p02[c] - d22, a3 = p03[c] - d23;
    const float b0 = d10 + d20, b1 = d11 + d21, b2 = d12 + d22, b3 = d13 + d23;
    const float e0 = d20 - d10, e1 = d21 - d11, e2 = d22 - d12, e3 = d23 - d13;
    const float f0 = d10 - p30[c], f1 = d11 - p31[c], f2 = d12 - p32[c], f3 = d13 - p33[c];
    float* v = to + c;
    v[0] = a0 - a2;
    v[step] = a1 + a2;
    v[2 * step] = a2 - a1;
    v[3 * step] = a1 - a3;
    v[4 * step] = b0 - b2;
    v[5 * step] = b1 + b2;
    v[6 * step] = b2 - b1;
    v[7 * step] = b1 - b3;
    v[8 * step] = e0 - e2;
    v[9 * step] = e1 + e2;
    v[10 * step] = e2 - e1;
    v[11 * step] = e1 - e3;
    v[12 * step] = f0 - f2;
    v[13 * step] = f1 + f2;
    v[14 * step] = f2 - f1;
    v[15 * step] = f1 - f3;
  }
}

// A g Aᵀ of the Outs×Outs numbers of a tile.
template <int Outs>
INFOMAX_INLINE void gradient_tile(const float* const* pixels, int64_t channels, float* to, int64_t step) {
  const float* at[Outs * Outs];
  for (int k = 0; k < Outs * Outs; ++k) at[k] = pixels[k];
  INFOMAX_CHANNELS
  for (int64_t c = 0; c < channels; ++c) {
    float rows[4][Outs];
    for (int j = 0; j < Outs; ++j) {
      const float first = at[j][c], second = at[Outs + j][c];
      if (Outs == 2) {
        rows[0][j] = first;
        rows[1][j] = first + second;
        rows[2][j] = first - second;
        rows[3][j] = -second;
      } else {
        const float third = at[(Outs - 1) * Outs + j][c], both = first + third;
        rows[0][j] = first;
        rows[1][j] = both + second;
        rows[2][j] = both - second;
        rows[3][j] = -third;
      }
    }
    float* d = to + c;
    for (int i = 0; i < 4; ++i) {
      const float first = rows[i][0], second = rows[i][1], last = rows[i][Outs - 1], both = Outs == 2 ? first : first + last;
      d[4 * i * step] = first;
      d[(4 * i + 1) * step] = both + second;
      d[(4 * i + 2) * step] = both - second;
      d[(4 * i + 3) * step] = -last;
    }
  }
}

// Aᵀ m A and the bias: the Outs×Outs outputs of a tile.
template <int Outs>
INFOMAX_INLINE void output_tile(const float* from, int64_t step, int64_t channels, const float* bias, float* const* pixels) {
  float* at[Outs * Outs];
  for (int k = 0; k < Outs * Outs; ++k) at[k] = pixels[k];
  INFOMAX_CHANNELS
  for (int64_t c = 0; c < channels; ++c) {
    const float* m = from + c;
    float rows[Outs][4];
    for (int j = 0; j < 4; ++j) {
      const float first = m[j * step], one = m[(4 + j) * step], two = m[(8 + j) * step], last = m[(12 + j) * step];
      rows[0][j] = first + one + two;
      rows[1][j] = Outs == 2 ? one - two - last : one - two;
      if (Outs == 3) rows[Outs - 1][j] = one + two - last;
    }
    for (int i = 0; i < Outs; ++i) {
      const float first = rows[i][0], one = rows[i][1], two = rows[i][2], last = rows[i][3];
      at[Outs * i][c] = first + one + two + bias[c];
      at[Outs * i + 1][c] = (Outs == 2 ? one - two - last : one - two) + bias[c];
      if (Outs == 3) at[Outs * i + Outs - 1][c] = one + two - last + bias[c];
    }
  }
}

// G g Gᵀ of weights of Taps×Taps, rows of them `down` from each other and columns `across` (negative: turned by 180°), of `count`
// channels.
template <int Taps>
INFOMAX_INLINE void to_positions(const float* from, int64_t down, int64_t across, int64_t count, float* to, int64_t step) {
  INFOMAX_CHANNELS
  for (int64_t c = 0; c < count; ++c) {
    const float* g = from + c;
    float rows[4][Taps];
    for (int j = 0; j < Taps; ++j) {
      const float top = g[j * across], second = g[down + j * across], bottom = Taps == 3 ? g[2 * down + j * across] : second;
      const float outer = 0.5f * (Taps == 3 ? top + bottom : top), inner = 0.5f * second;
      rows[0][j] = top;
      rows[1][j] = outer + inner;
      rows[2][j] = outer - inner;
      rows[3][j] = bottom;
    }
    float* u = to + c;
    for (int i = 0; i < 4; ++i) {
      const float first = rows[i][0], last = rows[i][Taps - 1];
      const float outer = 0.5f * (Taps == 3 ? first + last : first), inner = 0.5f * rows[i][1];
      u[4 * i * step] = first;
      u[(4 * i + 1) * step] = outer + inner;
      u[(4 * i + 2) * step] = outer - inner;
      u[(4 * i + 3) * step] = last;
    }
  }
}

// Gᵀ u G: the Taps×Taps weights' gradients.
template <int Taps>
INFOMAX_INLINE void from_positions(const float* from, int64_t step, int64_t count, float* to, int64_t down, int64_t across) {
  INFOMAX_CHANNELS
  for (int64_t c = 0; c < count; ++c) {
    const float* u = from + c;
    float rows[Taps][4];
    for (int j = 0; j < 4; ++j) {
      const float first = u[j * step], one = u[(4 + j) * step], two = u[(8 + j) * step], last = u[(12 + j) * step];
      const float both = 0.5f * (one + two), half = 0.5f * (one - two);
      rows[0][j] = first + both;
      rows[1][j] = Taps == 3 ? half : half + last;
      if (Taps == 3) rows[Taps - 1][j] = both + last;
    }
    float* g = to + c;
    for (int i = 0; i < Taps; ++i) {
      const float first = rows[i][0], one = rows[i][1], two = rows[i][2], last = rows[i][3];
      const float both = 0.5f * (one + two), half = 0.5f * (one - two);
      g[i * down] = first + both;
      g[i * down + across] = Taps == 3 ? half : half + last;
      if (Taps == 3) g[i * down + 2 * across] = both + last;
    }
  }
}

// For each processor: a template cannot be compiled for several.

INFOMAX_WIDE static void gradient_2(const float* const* pixels, int64_t channels, float* to, int64_t step) {
  gradient_tile<2>(pixels, channels, to, step);
}

INFOMAX_WIDE static void gradient_3(const float* const* pixels, int64_t channels, float* to, int64_t step) {
  gradient_tile<3>(pixels, channels, to, step);
}

INFOMAX_WIDE static void output_2(const float* from, int64_t step, int64_t channels, const float* bias, float* const* pixels) {
  output_tile<2>(from, step, channels, bias, pixels);
}

INFOMAX_WIDE static void output_3(const float* from, int64_t step, int64_t channels, const float* bias, float* const* pixels) {
  output_tile<3>(from, step, channels, bias, pixels);
}

INFOMAX_WIDE static void to_positions_2(const float* from, int64_t down, int64_t across, int64_t count, float* to, int64_t step) {
  to_positions<2>(from, down, across, count, to, step);
}

INFOMAX_WIDE static void to_positions_3(const float* from, int64_t down, int64_t across, int64_t count, float* to, int64_t step) {
  to_positions<3>(from, down, across, count, to, step);
}

INFOMAX_WIDE static void from_positions_2(const float* from, int64_t step, int64_t count, float* to, int64_t down, int64_t across) {
  from_positions<2>(from, step, count, to, down, across);
}

INFOMAX_WIDE static void from_positions_3(const float* from, int64_t step, int64_t count, float* to, int64_t down, int64_t across) {
  from_positions<3>(from, step, count, to, down, across);
}

}  // namespace winograd
