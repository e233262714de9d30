// BatchNorm's passes over memory on a CPU, of maps that lie channels-last: rows of C numbers, f32. Sums are made over chunks that
// stay in the nearest cache, in two passes there, and joined in f64 in an order that does not depend on threads.

#pragma once

#include "wide.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <vector>

// What is read and what is written lie apart.
#define INFOMAX_APART __restrict__

namespace norm {

// What a view's rows become: y = (x − mean) · factor + bias, of C each.
struct Affine {
  const float* mean;
  const float* factor;
  const float* bias;
};

// What is done to a gradient before it reaches the normalisation.
enum class Gate {
  kNone,      // nothing
  kOwn,       // it passes where y > 0, y made again from x
  kShortcut,  // the same of y + shortcut, read from the output; what passes is written for the shortcut
};

INFOMAX_WIDE static void chunk_moments(const float* INFOMAX_APART x, int64_t rows, int64_t channels, float* INFOMAX_APART mean,
                                       float* INFOMAX_APART squares) {
  std::fill_n(mean, channels, 0.0f);
  std::fill_n(squares, channels, 0.0f);
  for (int64_t r = 0; r < rows; ++r) {
    const float* INFOMAX_APART row = x + r * channels;
    for (int64_t c = 0; c < channels; ++c) mean[c] += row[c];
  }
  const float share = 1.0f / static_cast<float>(rows);
  for (int64_t c = 0; c < channels; ++c) mean[c] *= share;
  for (int64_t r = 0; r < rows; ++r) {
    const float* INFOMAX_APART row = x + r * channels;
    for (int64_t c = 0; c < channels; ++c) {
      const float apart = row[c] - mean[c];
      squares[c] += apart * apart;
    }
  }
}

// Chan, Golub, LeVeque 1979: `count` rows of a chunk join those before.
INFOMAX_WIDE static void join_moments(double before, double count, int64_t channels, const float* INFOMAX_APART chunk_mean,
                                      const float* INFOMAX_APART chunk_squares, double* INFOMAX_APART mean,
                                      double* INFOMAX_APART squares) {
  const double share = count / (before + count), weight = before * share;
  for (int64_t c = 0; c < channels; ++c) {
    const double apart = chunk_mean[c] - mean[c];
    mean[c] += apart * share;
    squares[c] += chunk_squares[c] + apart * apart * weight;
  }
}

// What is not a number stays one.
INFOMAX_WIDE static void write_normalised(const float* INFOMAX_APART x, const float* INFOMAX_APART shortcut, float* INFOMAX_APART y,
                                          int64_t rows, int64_t channels, Affine affine, bool relu) {
  const float *INFOMAX_APART mean = affine.mean, *INFOMAX_APART factor = affine.factor, *INFOMAX_APART bias = affine.bias;
  for (int64_t r = 0; r < rows; ++r) {
    const float* INFOMAX_APART row = x + r * channels;
    float* INFOMAX_APART out = y + r * channels;
    if (shortcut) {
      const float* INFOMAX_APART other = shortcut + r * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const float value = (row[c] - mean[c]) * factor[c] + bias[c] + other[c];
        out[c] = value < 0.0f ? 0.0f : value;
      }
    } else if (relu) {
      for (int64_t c = 0; c < channels; ++c) {
        const float value = (row[c] - mean[c]) * factor[c] + bias[c];
        out[c] = value < 0.0f ? 0.0f : value;
      }
    } else {
      for (int64_t c = 0; c < channels; ++c) out[c] = (row[c] - mean[c]) * factor[c] + bias[c];
    }
  }
}

// Sums of the gradient that passes, and of it times x − mean.
INFOMAX_WIDE static void chunk_sums(Gate gate, const float* INFOMAX_APART dy, const float* INFOMAX_APART x,
                                    const float* INFOMAX_APART y, float* INFOMAX_APART passed, int64_t rows, int64_t channels,
                                    Affine affine, float* INFOMAX_APART sums, float* INFOMAX_APART products) {
  const float *INFOMAX_APART mean = affine.mean, *INFOMAX_APART factor = affine.factor, *INFOMAX_APART bias = affine.bias;
  std::fill_n(sums, channels, 0.0f);
  std::fill_n(products, channels, 0.0f);
  for (int64_t r = 0; r < rows; ++r) {
    const float *INFOMAX_APART gradient = dy + r * channels, *INFOMAX_APART row = x + r * channels;
    if (gate == Gate::kShortcut) {
      const float* INFOMAX_APART out = y + r * channels;
      float* INFOMAX_APART own = passed + r * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const float g = out[c] <= 0.0f ? 0.0f : gradient[c];
        own[c] = g;
        sums[c] += g;
        products[c] += g * (row[c] - mean[c]);
      }
    } else if (gate == Gate::kOwn) {
      for (int64_t c = 0; c < channels; ++c) {
        const float apart = row[c] - mean[c];
        const float g = apart * factor[c] + bias[c] <= 0.0f ? 0.0f : gradient[c];
        sums[c] += g;
        products[c] += g * apart;
      }
    } else {
      for (int64_t c = 0; c < channels; ++c) {
        sums[c] += gradient[c];
        products[c] += gradient[c] * (row[c] - mean[c]);
      }
    }
  }
}

INFOMAX_WIDE static void add_to(const float* INFOMAX_APART from, double* INFOMAX_APART to, int64_t channels) {
  for (int64_t c = 0; c < channels; ++c) to[c] += from[c];
}

// dx = (g − mean of g − (x − mean) · slope) · factor.
INFOMAX_WIDE static void write_gradient(bool gated, const float* INFOMAX_APART dy, const float* INFOMAX_APART x,
                                        float* INFOMAX_APART dx, int64_t rows, int64_t channels, Affine affine,
                                        const float* INFOMAX_APART mean_gradient, const float* INFOMAX_APART slope) {
  const float *INFOMAX_APART mean = affine.mean, *INFOMAX_APART factor = affine.factor, *INFOMAX_APART bias = affine.bias;
  for (int64_t r = 0; r < rows; ++r) {
    const float *INFOMAX_APART gradient = dy + r * channels, *INFOMAX_APART row = x + r * channels;
    float* INFOMAX_APART out = dx + r * channels;
    if (gated) {
      for (int64_t c = 0; c < channels; ++c) {
        const float apart = row[c] - mean[c];
        const float g = apart * factor[c] + bias[c] <= 0.0f ? 0.0f : gradient[c];
        out[c] = (g - mean_gradient[c] - apart * slope[c]) * factor[c];
      }
    } else {
      for (int64_t c = 0; c < channels; ++c) {
        out[c] = (gradient[c] - mean_gradient[c] - (row[c] - mean[c]) * slope[c]) * factor[c];
      }
    }
  }
}

// Rows cut into parts of about one size, as many whatever the threads, and each part into chunks for the nearest cache.
class Parts {
 public:
  Parts(int64_t rows, int64_t channels)
      : rows_(rows), count_(std::clamp<int64_t>(rows / 64, 1, 32)), chunk_(std::clamp<int64_t>(8192 / channels, 4, 256)) {}

  int64_t count() const { return count_; }

  // Calls `each(first row, rows)` for the chunks of a part in order.
  template <typename Each>
  void chunks(int64_t part, Each each) const {
    const int64_t end = rows_ * (part + 1) / count_;
    for (int64_t row = rows_ * part / count_; row < end; row += chunk_) each(row, std::min(chunk_, end - row));
  }

 private:
  int64_t rows_, count_, chunk_;
};

// Mean and sum of squares about it, of C each, of a view's rows.
inline void moments(const float* x, int64_t rows, int64_t channels, double* mean, double* squares) {
  const Parts parts(rows, channels);
  std::vector<double> means(parts.count() * channels, 0.0), sums(parts.count() * channels, 0.0), counts(parts.count(), 0.0);
  at::parallel_for(0, parts.count(), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> own(2 * channels);
    for (int64_t part = begin; part < end; ++part) {
      parts.chunks(part, [&](int64_t row, int64_t count) {
        chunk_moments(x + row * channels, count, channels, own.data(), own.data() + channels);
        join_moments(counts[part], static_cast<double>(count), channels, own.data(), own.data() + channels,
                     &means[part * channels], &sums[part * channels]);
        counts[part] += static_cast<double>(count);
      });
    }
  });
  std::fill_n(mean, channels, 0.0);
  std::fill_n(squares, channels, 0.0);
  double before = 0;
  for (int64_t part = 0; part < parts.count(); ++part) {
    const double share = counts[part] / (before + counts[part]), weight = before * share;
    for (int64_t c = 0; c < channels; ++c) {
      const double apart = means[part * channels + c] - mean[c];
      mean[c] += apart * share;
      squares[c] += sums[part * channels + c] + apart * apart * weight;
    }
    before += counts[part];
  }
}

// Sums of the gradient that passes and of it times x − mean, of C each, of a view's rows.
inline void sums(Gate gate, const float* dy, const float* x, const float* y, float* passed, int64_t rows, int64_t channels,
                 Affine affine, double* sum, double* product) {
  const Parts parts(rows, channels);
  std::vector<double> of_parts(parts.count() * 2 * channels, 0.0);
  at::parallel_for(0, parts.count(), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> own(2 * channels);
    for (int64_t part = begin; part < end; ++part) {
      double* to = &of_parts[part * 2 * channels];
      parts.chunks(part, [&](int64_t row, int64_t count) {
        const int64_t at = row * channels;
        chunk_sums(gate, dy + at, x + at, y ? y + at : nullptr, passed ? passed + at : nullptr, count, channels, affine,
                   own.data(), own.data() + channels);
        add_to(own.data(), to, 2 * channels);
      });
    }
  });
  std::fill_n(sum, channels, 0.0);
  std::fill_n(product, channels, 0.0);
  for (int64_t part = 0; part < parts.count(); ++part) {
    for (int64_t c = 0; c < channels; ++c) {
      sum[c] += of_parts[part * 2 * channels + c];
      product[c] += of_parts[(part * 2 + 1) * channels + c];
    }
  }
}

}  // namespace norm
