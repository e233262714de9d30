// The transforms of Winograd's F(2×2, 3×3) (Lavin, Gray 2015: "Fast Algorithms for Convolutional Neural Networks") of maps that lie
// channels-last, f32: a tile of 2×2 outputs sees 4×4 inputs, and 16 numbers a channel ("positions") replace both. Channels lie one
// after the other, and are what is vectorised.

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

// A g Aᵀ of the 2×2 numbers of a tile.
INFOMAX_WIDE static void gradient_tile(const float* const* pixels, int64_t channels, float* to, int64_t step) {
  const float *p00 = pixels[0], *p01 = pixels[1], *p10 = pixels[2], *p11 = pixels[3];
  INFOMAX_CHANNELS
  for (int64_t c = 0; c < channels; ++c) {
    const float a0 = p00[c], a1 = p01[c], b0 = p10[c], b1 = p11[c];
    const float e0 = a0 + b0, e1 = a1 + b1, f0 = a0 - b0, f1 = a1 - b1;
    float* d = to + c;
    d[0] = a0;
    d[step] = a0 + a1;
    d[2 * step] = a0 - a1;
    d[3 * step] = -a1;
    d[4 * step] = e0;
    d[5 * step] = e0 + e1;
    d[6 * step] = e0 - e1;
    d[7 * step] = -e1;
    d[8 * step] = f0;
    d[9 * step] = f0 + f1;
    d[10 * step] = f0 - f1;
    d[11 * step] = -f1;
    d[12 * step] = -b0;
    d[13 * step] = -b0 - b1;
    d[14 * step] = b1 - b0;
    d[15 * step] = b1;
  }
}

// Aᵀ m A and the bias: the 2×2 outputs of a tile.
INFOMAX_WIDE static void output_tile(const float* from, int64_t step, int64_t channels, const float* bias, float* const* pixels) {
  float *p00 = pixels[0], *p01 = pixels[1], *p10 = pixels[2], *p11 = pixels[3];
  INFOMAX_CHANNELS
  for (int64_t c = 0; c < channels; ++c) {
    const float* m = from + c;
    const float m10 = m[4 * step], m11 = m[5 * step], m12 = m[6 * step], m13 = m[7 * step];
    const float m20 = m[8 * step], m21 = m[9 * step], m22 = m[10 * step], m23 = m[11 * step];
    const float a0 = m[0] + m10 + m20, a1 = m[step] + m11 + m21, a2 = m[2 * step] + m12 + m22, a3 = m[3 * step] + m13 + m23;
    const float b0 = m10 - m20 - m[12 * step], b1 = m11 - m21 - m[13 * step], b2 = m12 - m22 - m[14 * step],
                b3 = m13 - m23 - m[15 * step];
    p00[c] = a0 + a1 + a2 + bias[c];
    p01[c] = a1 - a2 - a3 + bias[c];
    p10[c] = b0 + b1 + b2 + bias[c];
    p11[c] = b1 - b2 - b3 + bias[c];
  }
}

// G g Gᵀ of 3×3 weights, `apart` from each other (negative: turned by 180°), of `count` channels.
INFOMAX_WIDE static void to_positions(const float* from, int64_t apart, int64_t count, float* to, int64_t step) {
  INFOMAX_CHANNELS
  for (int64_t c = 0; c < count; ++c) {
    const float* g = from + c;
    float rows[4][3];
    for (int j = 0; j < 3; ++j) {
      const float top = g[j * apart], middle = g[(3 + j) * apart], bottom = g[(6 + j) * apart], both = 0.5f * (top + bottom);
      rows[0][j] = top;
      rows[1][j] = both + 0.5f * middle;
      rows[2][j] = both - 0.5f * middle;
      rows[3][j] = bottom;
    }
    float* u = to + c;
    for (int i = 0; i < 4; ++i) {
      const float both = 0.5f * (rows[i][0] + rows[i][2]), middle = 0.5f * rows[i][1];
      u[4 * i * step] = rows[i][0];
      u[(4 * i + 1) * step] = both + middle;
      u[(4 * i + 2) * step] = both - middle;
      u[(4 * i + 3) * step] = rows[i][2];
    }
  }
}

// Gᵀ u G: the 3×3 weights' gradients.
INFOMAX_WIDE static void from_positions(const float* from, int64_t step, int64_t count, float* to, int64_t apart) {
  INFOMAX_CHANNELS
  for (int64_t c = 0; c < count; ++c) {
    const float* u = from + c;
    float rows[3][4];
    for (int j = 0; j < 4; ++j) {
      const float one = u[(4 + j) * step], two = u[(8 + j) * step], both = 0.5f * (one + two);
      rows[0][j] = u[j * step] + both;
      rows[1][j] = 0.5f * (one - two);
      rows[2][j] = u[(12 + j) * step] + both;
    }
    float* g = to + c;
    for (int i = 0; i < 3; ++i) {
      const float both = 0.5f * (rows[i][1] + rows[i][2]);
      g[3 * i * apart] = rows[i][0] + both;
      g[(3 * i + 1) * apart] = 0.5f * (rows[i][1] - rows[i][2]);
      g[(3 * i + 2) * apart] = rows[i][3] + both;
    }
  }
}

}  // namespace winograd
