// The transforms of Winograd's F(n×n, r×r) of maps that lie channels-last, f32 (Lavin, Gray 2015: "Fast Algorithms for Convolutional
// Neural Networks"): a tile of n×n outputs of a convolution by r×r weights sees t×t inputs, t = n + r − 1, and t² numbers a channel
// ("positions") replace them. Each is made of two polynomials' values at t points, which are multiplied and taken back to coefficients
// (Toom, Cook); the matrices follow from the points. Channels lie one after the other, and are what is vectorised.

#pragma once

#include "wide.h"

#include <cstdint>
#include <cstring>
#include <utility>

namespace winograd {

// The points; the first t − 1 of them, and infinity. In this order the sums of small numbers with large ones, where f32 loses bits, are
// the fewest (Barabasz et al. 2020: "Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks").
constexpr double kPoints[] = {0, 1, -1, 0.5, -2, -0.5};

constexpr int kMostTile = 7;

constexpr double power(double base, int exponent) {
  double result = 1;
  for (int k = 0; k < exponent; ++k) result *= base;
  return result;
}

// The coefficient of xᵈ in the product of (x − p) over the first `points` points but number `but` (none: −1).
constexpr double coefficient(int points, int but, int degree) {
  double product[kMostTile + 1] = {1};
  int known = 0;
  for (int point = 0; point < points; ++point) {
    if (point == but) continue;
    ++known;
    for (int d = known; d > 0; --d) product[d] = product[d - 1] - kPoints[point] * product[d];
    product[0] *= -kPoints[point];
  }
  return product[degree];
}

// The matrices of one algorithm.
template <int Outs, int Taps>
struct Algorithm {
  static constexpr int kTile = Outs + Taps - 1, kLast = kTile - 1;

  struct Outputs {  // Aᵀ
    static constexpr int kRows = Outs, kColumns = kTile;
    static constexpr double at(int row, int column) { return column == kLast ? row == Outs - 1 : power(kPoints[column], row); }
  };

  struct Weights {  // G
    static constexpr int kRows = kTile, kColumns = Taps;
    static constexpr double at(int row, int column) {
      if (row == kLast) return column == Taps - 1;
      double others = 1;
      for (int point = 0; point < kLast; ++point) others *= point == row ? 1 : kPoints[row] - kPoints[point];
      return power(kPoints[row], column) / others;
    }
  };

  struct Inputs {  // Bᵀ
    static constexpr int kRows = kTile, kColumns = kTile;
    static constexpr double at(int row, int column) { return coefficient(kLast, row == kLast ? -1 : row, column); }
  };
};

template <typename Matrix>
struct Transposed {
  static constexpr int kRows = Matrix::kColumns, kColumns = Matrix::kRows;
  static constexpr double at(int row, int column) { return Matrix::at(column, row); }
};

// Of so many channels at once.
constexpr int64_t kLanes = 16;
typedef float Lanes __attribute__((vector_size(4 * kLanes)));

// The products of a row of the matrix with `x`, from `Column` on, are added to `sum`; the first one begins it.
template <typename Matrix, int Row, int Column, bool Begun>
INFOMAX_INLINE void add_row(const Lanes* x, Lanes& sum) {
  if constexpr (Column < Matrix::kColumns) {
    constexpr float factor = Matrix::at(Row, Column);
    constexpr bool kAny = factor != 0;
    if constexpr (kAny && Begun) {
      sum = factor == 1 ? sum + x[Column] : factor == -1 ? sum - x[Column] : sum + factor * x[Column];
    } else if constexpr (kAny) {
      sum = factor == 1 ? x[Column] : factor == -1 ? -x[Column] : factor * x[Column];
    }
    add_row<Matrix, Row, Column + 1, Begun || kAny>(x, sum);
  }
}

template <typename Matrix, int... Rows>
INFOMAX_INLINE void times(const Lanes* x, Lanes* y, std::integer_sequence<int, Rows...>) {
  (add_row<Matrix, Rows, 0, false>(x, y[Rows]), ...);
}

// M · X · Mᵀ for each channel: `from` and `to` say where the channels of each element of X and of the result begin, row by row.
template <typename Matrix, bool WithBias = false>
INFOMAX_INLINE void transform(const float* const* from, float* const* to, int64_t channels, const float* bias) {
  constexpr int kRows = Matrix::kRows, kColumns = Matrix::kColumns;
  constexpr auto rows = std::make_integer_sequence<int, kRows>();
  for (int64_t c = 0; c < channels; c += kLanes) {
    Lanes half[kRows][kColumns], added{};
    for (int j = 0; j < kColumns; ++j) {
      Lanes x[kColumns], y[kRows];
      for (int i = 0; i < kColumns; ++i) std::memcpy(&x[i], from[i * kColumns + j] + c, sizeof(Lanes));
      times<Matrix>(x, y, rows);
      for (int i = 0; i < kRows; ++i) half[i][j] = y[i];
    }
    if (WithBias) std::memcpy(&added, bias + c, sizeof(Lanes));
    for (int i = 0; i < kRows; ++i) {
      Lanes y[kRows];
      times<Matrix>(half[i], y, rows);
      for (int j = 0; j < kRows; ++j) {
        if (WithBias) y[j] += added;
        std::memcpy(to[i * kRows + j] + c, &y[j], sizeof(Lanes));
      }
    }
  }
}

// Of a multiple of `kLanes` channels; only outputs have a bias.
using Transform = void (*)(const float* const* from, float* const* to, int64_t channels, const float* bias);

// What an algorithm does to a tile.
struct Transforms {
  Transform inputs;           // t×t pixels to positions
  Transform to_inputs;        // the gradient of that
  Transform outputs;          // positions to n×n pixels
  Transform to_outputs;       // the gradient of that
  Transform weights;          // r×r weights to positions
  Transform to_weights;       // the gradient of that
};

// A function for each processor: a template cannot be compiled for several.
#define INFOMAX_TRANSFORM(NAME, ...)                                                                               \
  INFOMAX_WIDE static void NAME(const float* const* from, float* const* to, int64_t channels, const float* bias) { \
    transform<__VA_ARGS__>(from, to, channels, bias);                                                              \
  }

#define INFOMAX_ALGORITHM(NAME, OUTS, TAPS)                                  \
  namespace NAME {                                                           \
  using Of = Algorithm<OUTS, TAPS>;                                          \
  INFOMAX_TRANSFORM(inputs, Of::Inputs)                                      \
  INFOMAX_TRANSFORM(to_inputs, Transposed<Of::Inputs>)                       \
  INFOMAX_TRANSFORM(outputs, Of::Outputs, true)                              \
  INFOMAX_TRANSFORM(to_outputs, Transposed<Of::Outputs>)                     \
  INFOMAX_TRANSFORM(weights, Of::Weights)                                    \
  INFOMAX_TRANSFORM(to_weights, Transposed<Of::Weights>)                     \
  static const Transforms all{inputs, to_inputs, outputs, to_outputs, weights, to_weights}; \
  }

INFOMAX_ALGORITHM(two_by_three, 2, 3)
INFOMAX_ALGORITHM(three_by_three, 3, 3)
INFOMAX_ALGORITHM(four_by_three, 4, 3)
INFOMAX_ALGORITHM(five_by_three, 5, 3)
INFOMAX_ALGORITHM(three_by_two, 3, 2)

#undef INFOMAX_ALGORITHM
#undef INFOMAX_TRANSFORM

}  // namespace winograd
