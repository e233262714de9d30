// Convolutions on a CPU by Winograd's F(2×2, 3×3) and F(3×3, 2×2), of f32 maps that lie channels-last: those of 3×3 with stride 1,
// 16 multiplications where there were 36, and those of 4×4 with stride 2, which are sums of four of 2×2, each over every second row
// and column ("phases"), 64 where there were 144. For all three of output, gradient of data and gradient of weight. oneDNN's own
// kernels multiply directly, close to the processor's peak.
// For convolutions.cpp alone, after products.cpp, whose library multiplies here too.

#include "plain.h"
#include "winograd_kernels.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

namespace {

// What of a convolution is worth it: output, gradient of data, gradient of weight.
struct WinogradGains {
  bool output = false, input = false, weight = false;
};

namespace wino {

using at::Tensor;
using winograd::kPositions;

constexpr int64_t kGrain = 16;   // the fewest tiles, or rows of weights, that are worth a thread
constexpr int64_t kOften = 16;   // more chunks than these, and weights are turned once for all
constexpr int64_t kShares = 4;   // chunks for each convolution, at the least, if they are not too small then
constexpr int64_t kMostSums = 1 << 24;  // numbers of weights' gradients at a time: 64 MiB
constexpr auto kLast = at::MemoryFormat::ChannelsLast;

// Convolutions that differ in their sizes alone: the side of a phase's weights, of a tile of its outputs, and how many phases a side has.
struct Kind {
  int64_t taps, outs, step;
  int64_t phases() const { return step * step; }
  int64_t side() const { return taps * step; }
};

constexpr Kind kThree{3, 2, 1}, kFour{2, 3, 2};

// The side of a convolution's output.
int64_t side_of(const Kind& kind, int64_t input, int64_t padding) { return (input + 2 * padding - kind.side()) / kind.step + 1; }

// Every `step`-th pixel of maps of N × C × H × W, `first` the one that counts as the first: one phase.
template <typename Number>
struct Maps {
  Number* data;
  int64_t height, width, channels, step, first_row, first_column;

  // The channels of a pixel of the phase; none where that lies outside.
  Number* pixel(int64_t image, int64_t y, int64_t x, Number* outside) const {
    const int64_t row = step * y + first_row, column = step * x + first_column;
    const bool inside = row >= 0 && row < height && column >= 0 && column < width;
    return inside ? data + ((image * height + row) * width + column) * channels : outside;
  }
};

// The phases of maps whose edges are padded by so many pixels.
template <typename Number>
std::vector<Maps<Number>> phases_of(Number* data, const Tensor& maps, int64_t step, int64_t padding) {
  std::vector<Maps<Number>> phases;
  for (int64_t row = 0; row < step; ++row) {
    for (int64_t column = 0; column < step; ++column) {
      phases.push_back({data, maps.size(2), maps.size(3), maps.size(1), step, row - padding, column - padding});
    }
  }
  return phases;
}

// Tiles of a phase's pixels.
struct Tiles {
  int64_t images, down, across;

  Tiles(int64_t images, int64_t height, int64_t width, int64_t outs)
      : images(images), down((height + outs - 1) / outs), across((width + outs - 1) / outs) {}

  int64_t count() const { return images * down * across; }

  // Calls `each(k, image, y, x)` for the tiles from `begin` to `end`, k counted from 0.
  template <typename Each>
  void each(int64_t begin, int64_t end, Each each) const {
    int64_t x = begin % across, y = begin / across % down, image = begin / (across * down);
    for (int64_t tile = begin; tile < end; ++tile) {
      each(tile - begin, image, y, x);
      if (++x == across) {
        x = 0;
        if (++y == down) {
          y = 0;
          ++image;
        }
      }
    }
  }
};

Tiles output_tiles(const Kind& kind, const Tensor& outputs) { return {outputs.size(0), outputs.size(2), outputs.size(3), kind.outs}; }

// Of the pixels of a phase of the inputs.
Tiles input_tiles(const Kind& kind, const Tensor& inputs, int64_t padding) {
  const auto of_a_phase = [&](int64_t side) { return (side - 1 + (kind.step > 1 ? padding : 0)) / kind.step + 1; };
  return {inputs.size(0), of_a_phase(inputs.size(2)), of_a_phase(inputs.size(3)), kind.outs};
}

Tensor positions(int64_t rows, int64_t columns, const Tensor& like) {
  return at::empty({kPositions, rows, columns}, like.options().memory_format(at::MemoryFormat::Contiguous));
}

// The first `rows` of each position, of a buffer for more.
Tensor part_of(const Tensor& buffer, int64_t rows) {
  const int64_t columns = buffer.size(2);
  return rows == buffer.size(1) ? buffer : buffer.view(-1).narrow(0, 0, kPositions * rows * columns).view({kPositions, rows, columns});
}

// Asks for a pixel's channels before they are needed: more streams go at once than the processor foresees.
void ask_for(const float* pixel, int64_t channels) {
  for (int64_t c = 0; c < channels; c += 16) __builtin_prefetch(pixel + c, 0, 2);
}

// The positions of 4×4 pixels a tile, the first one `before` the outputs' first; `row` numbers from tile to tile, the phases' channels
// one after the other.
void transform_inputs(const Kind& kind, const Tiles& tiles, const std::vector<Maps<const float>>& phases, int64_t before, int64_t begin,
                      int64_t end, float* to, int64_t row, int64_t step) {
  const int64_t channels = phases[0].channels;
  const std::vector<float> zeros(channels, 0.0f);
  const int64_t tile_below = kind.outs * phases[0].step * phases[0].width * channels;
  tiles.each(begin, end, [&](int64_t k, int64_t image, int64_t y, int64_t x) {
    for (size_t phase = 0; phase < phases.size(); ++phase) {
      const auto& maps = phases[phase];
      std::array<const float*, 16> pixels;
      for (int64_t i = 0; i < 4; ++i) {
        for (int64_t j = 0; j < 4; ++j) {
          pixels[4 * i + j] = maps.pixel(image, kind.outs * y - before + i, kind.outs * x - before + j, zeros.data());
        }
      }
      for (int i = 4 - kind.outs; i < 4; ++i) {
        for (int j = 4 - kind.outs; j < 4; ++j) ask_for(pixels[4 * i + j] + tile_below, channels);
      }
      winograd::input_tile(pixels.data(), channels, to + k * row + phase * channels, step);
    }
  });
}

// The pixels of a tile of a phase, outs × outs.
template <typename Number>
std::array<Number*, 9> tile_of(const Kind& kind, const Maps<Number>& maps, int64_t image, int64_t y, int64_t x, Number* outside) {
  std::array<Number*, 9> pixels;
  for (int64_t i = 0; i < kind.outs; ++i) {
    for (int64_t j = 0; j < kind.outs; ++j) {
      pixels[kind.outs * i + j] = maps.pixel(image, kind.outs * y + i, kind.outs * x + j, outside);
    }
  }
  return pixels;
}

void transform_gradients(const Kind& kind, const Tiles& tiles, const Maps<const float>& maps, int64_t begin, int64_t end, float* to,
                         int64_t step) {
  const std::vector<float> zeros(maps.channels, 0.0f);
  const int64_t next_tile = kind.outs * maps.channels;
  const auto gradient_tile = kind.outs == 2 ? winograd::gradient_2 : winograd::gradient_3;
  tiles.each(begin, end, [&](int64_t k, int64_t image, int64_t y, int64_t x) {
    const auto pixels = tile_of(kind, maps, image, y, x, zeros.data());
    for (int p = 0; p < kind.outs * kind.outs; ++p) ask_for(pixels[p] + next_tile, maps.channels);
    gradient_tile(pixels.data(), maps.channels, to + k * maps.channels, step);
  });
}

void transform_outputs(const Kind& kind, const Tiles& tiles, const float* from, int64_t row, int64_t step, const float* bias,
                       int64_t begin, int64_t end, const std::vector<Maps<float>>& phases) {
  const int64_t channels = phases[0].channels;
  std::vector<float> unused(channels);
  const auto output_tile = kind.outs == 2 ? winograd::output_2 : winograd::output_3;
  tiles.each(begin, end, [&](int64_t k, int64_t image, int64_t y, int64_t x) {
    for (size_t phase = 0; phase < phases.size(); ++phase) {
      const auto pixels = tile_of(kind, phases[phase], image, y, x, unused.data());
      output_tile(from + k * row + phase * channels, step, channels, bias, pixels.data());
    }
  });
}

// Tiles at a time, of `tiles`: their positions stay in the caches, and the weights, read for each chunk, are used often enough; small
// work is cut into `shares` where the chunks are then large enough, whatever the threads.
int64_t chunk_of(int64_t in, int64_t out, int64_t tiles, int64_t shares) {
  const int64_t both = in + out, fewest = std::clamp<int64_t>(both * both / 2048, 128, 512);
  const int64_t most = std::clamp(tiles / shares, fewest, std::max((1 << 16) / both, fewest));
  const int64_t chunks = (tiles + most - 1) / most;
  return (tiles + chunks - 1) / chunks;
}

// What the phases `from` give in the phases `to`, by weights of 16 × channels in × channels out, those of all phases together. Input
// tiles begin `before` pixels of a phase before the outputs'.
void convolve(const Kind& kind, const Tiles& tiles, const std::vector<Maps<const float>>& from, int64_t before, const Tensor& weights,
              const Tensor& bias, const std::vector<Maps<float>>& to) {
  const int64_t in = weights.size(1), out = weights.size(2), count = tiles.count();
  const float* bias_data = bias.const_data_ptr<float>();
  const int64_t chunk = chunk_of(in, out, count, kShares);
  const int64_t chunks = (count + chunk - 1) / chunk, threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  // A thread by itself, in caches of its own; what is left after as many for each is done by all together.
  const int64_t alone = chunks - chunks % threads;
  const auto each_chunk = [&](int64_t first, int64_t last) {
    const auto inputs = positions(chunk, in, weights), outputs = positions(chunk, out, weights);
    for (int64_t each = first; each < last; ++each) {
      const int64_t begin = each * chunk, rows = std::min(count - begin, chunk);
      auto one = part_of(inputs, rows), two = part_of(outputs, rows);
      float *v = one.mutable_data_ptr<float>(), *m = two.mutable_data_ptr<float>();
      at::parallel_for(0, rows, kGrain, [&](int64_t begin_here, int64_t end_here) {
        transform_inputs(kind, tiles, from, before, begin + begin_here, begin + end_here, v + begin_here * in, in, rows * in);
      });
      multiply_all(one, weights, two, false);
      at::parallel_for(0, rows, kGrain, [&](int64_t begin_here, int64_t end_here) {
        transform_outputs(kind, tiles, m + begin_here * out, out, rows * out, bias_data, begin + begin_here, begin + end_here, to);
      });
    }
  };
  at::parallel_for(0, alone, 1, each_chunk);
  if (alone < chunks) {
    each_chunk(alone, chunks);
  }
}

// The positions of weights of O × C × K × K in memory O × K × K × C: 16 × O × (phases · C), those of a phase together. `turned` by
// 180° within each phase.
Tensor transformed(const Kind& kind, const float* from, int64_t rows, int64_t channels, bool turned, const Tensor& like) {
  const int64_t side = kind.side(), phases = kind.phases(), columns = phases * channels;
  auto result = positions(rows, columns, like);
  float* to = result.mutable_data_ptr<float>();
  const int64_t across = kind.step * channels, down = side * across, last = turned ? (kind.taps - 1) * (down + across) : 0;
  const auto to_positions = kind.taps == 2 ? winograd::to_positions_2 : winograd::to_positions_3;
  at::parallel_for(0, rows, kGrain, [&](int64_t first_row, int64_t last_row) {
    for (int64_t r = first_row; r < last_row; ++r) {
      for (int64_t phase = 0; phase < phases; ++phase) {
        const int64_t first = (phase / kind.step * side + phase % kind.step) * channels;
        const float* weights = from + r * side * side * channels + first + last;
        to_positions(weights, turned ? -down : down, turned ? -across : across, channels, to + r * columns + phase * channels,
                     rows * columns);
      }
    }
  });
  return result;
}

// 16 × channels in × channels out. oneDNN takes rows of channels out as well, and turns them itself for each chunk.
Tensor for_outputs(const Kind& kind, const Tensor& weight, int64_t tiles) {
  const int64_t out = weight.size(0), in = weight.size(1);
  const auto rows = transformed(kind, weight.const_data_ptr<float>(), out, in, false, weight).transpose(1, 2);
  const bool seldom = tiles <= kOften * chunk_of(kind.phases() * in, out, tiles, kShares);
  return seldom && products_are_by_onednn() ? rows : rows.contiguous();
}

Tensor for_inputs(const Kind& kind, const Tensor& weight) {
  return transformed(kind, weight.const_data_ptr<float>(), weight.size(0), weight.size(1), true, weight);
}

Tensor forward(const Kind& kind, const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, int64_t padding) {
  const int64_t height = side_of(kind, input.size(2), padding), width = side_of(kind, input.size(3), padding);
  auto output = at::empty({input.size(0), weight.size(0), height, width}, input.options().memory_format(kLast));
  const auto plain = input.options().memory_format(at::MemoryFormat::Contiguous);
  const Tensor added = bias && bias->defined() ? bias->contiguous() : at::zeros({weight.size(0)}, plain);
  const auto tiles = output_tiles(kind, output);
  convolve(kind, tiles, phases_of(input.const_data_ptr<float>(), input, kind.step, padding), 0,
           for_outputs(kind, weight, tiles.count()), added, phases_of(output.mutable_data_ptr<float>(), output, 1, 0));
  return output;
}

Tensor input_gradient(const Kind& kind, const Tensor& gradient, const Tensor& input, const Tensor& weight, int64_t padding) {
  auto result = at::empty(input.sizes(), input.options().memory_format(kLast));
  const auto none = at::zeros({input.size(1)}, input.options().memory_format(at::MemoryFormat::Contiguous));
  // With one phase, pixels are counted from the first one inside; with several, from the first one of the padding.
  const int64_t skipped = kind.step > 1 ? 0 : padding;
  convolve(kind, input_tiles(kind, input, padding), phases_of(gradient.const_data_ptr<float>(), gradient, 1, 0),
           kind.taps - 1 - skipped, for_inputs(kind, weight), none,
           phases_of(result.mutable_data_ptr<float>(), result, kind.step, padding - skipped));
  return result;
}

Tensor weight_gradient(const Kind& kind, const Tensor& gradient, const Tensor& input, const Tensor& weight, int64_t padding) {
  const auto tiles = output_tiles(kind, gradient);
  const int64_t channels = weight.size(1), in = kind.phases() * channels, out = weight.size(0), count = tiles.count();
  // As many sums whatever the threads, each over chunks in their order; fewer where they are large.
  int64_t parts = 1;
  while (parts < 16 && count >= 2048 * parts && 2 * parts * kPositions * in * out <= kMostSums) {
    parts *= 2;
  }
  const int64_t most = (count + parts - 1) / parts;
  const int64_t chunk = chunk_of(in, out, most, 1);
  const auto sums = at::empty({parts, kPositions, out, in}, input.options().memory_format(at::MemoryFormat::Contiguous));
  const auto from = phases_of(input.const_data_ptr<float>(), input, kind.step, padding);
  const auto back = phases_of(gradient.const_data_ptr<float>(), gradient, 1, 0)[0];
  const auto each_part = [&](int64_t first, int64_t last) {
    const auto inputs = positions(chunk, in, input), gradients = positions(chunk, out, input);
    for (int64_t part = first; part < last; ++part) {
      auto sum = sums.select(0, part);
      const int64_t start = part * count / parts, end = (part + 1) * count / parts;
      for (int64_t begin = start; begin < end; begin += chunk) {
        const int64_t rows = std::min(chunk, end - begin);
        const auto one = part_of(inputs, rows), two = part_of(gradients, rows);
        float *v = one.mutable_data_ptr<float>(), *d = two.mutable_data_ptr<float>();
        at::parallel_for(0, rows, kGrain, [&](int64_t begin_here, int64_t end_here) {
          transform_inputs(kind, tiles, from, 0, begin + begin_here, begin + end_here, v + begin_here * in, in, rows * in);
          transform_gradients(kind, tiles, back, begin + begin_here, begin + end_here, d + begin_here * out, rows * out);
        });
        multiply_all(two.transpose(1, 2), one, sum, begin != start);
      }
    }
  };
  if (parts < at::get_num_threads()) {
    each_part(0, parts);
  } else {
    at::parallel_for(0, parts, 1, each_part);
  }
  const auto sum = parts == 1 ? sums.select(0, 0) : sums.sum(0);
  auto result = at::empty(weight.sizes(), weight.options().memory_format(kLast));
  const float* whole = sum.const_data_ptr<float>();
  float* to = result.mutable_data_ptr<float>();
  const int64_t side = kind.side(), across = kind.step * channels, down = side * across;
  const auto from_positions = kind.taps == 2 ? winograd::from_positions_2 : winograd::from_positions_3;
  at::parallel_for(0, out, kGrain, [&](int64_t first_row, int64_t last_row) {
    for (int64_t o = first_row; o < last_row; ++o) {
      for (int64_t phase = 0; phase < kind.phases(); ++phase) {
        const int64_t first = (phase / kind.step * side + phase % kind.step) * channels;
        from_positions(whole + o * in + phase * channels, out * in, channels, to + o * side * side * channels + first, down, across);
      }
    }
  });
  return result;
}

// Where it was faster than oneDNN on two cores with AVX-512: enough channels that the products outweigh the transforms, enough tiles
// for weights to be worth a transform, and so many times fewer multiplications, those of outputs past an edge included. oneDNN's
// gradients of weights are its slowest kernels.
WinogradGains gains(const Kind& kind, const Tensor& input, const Tensor& weight, int64_t padding) {
  constexpr double kOutput = 1.5, kInput = 1.4, kWeight = 1.25;
  const int64_t in = kind.phases() * weight.size(1), out = weight.size(0);
  const int64_t height = side_of(kind, input.size(2), padding), width = side_of(kind, input.size(3), padding);
  const double directly = double(input.size(0) * height * width * kind.taps * kind.taps);
  const auto fewer_at = [&](const Tiles& tiles) {
    const bool large = std::min(in, out) >= 32 && in + out >= 96 && tiles.count() >= 32;
    return large ? directly / double(kPositions * tiles.count()) : 0;
  };
  const double at_outputs = fewer_at({input.size(0), height, width, kind.outs}), at_inputs = fewer_at(input_tiles(kind, input, padding));
  return {at_outputs >= kOutput, at_inputs >= kInput, at_outputs >= kWeight};
}

}  // namespace wino

const wino::Kind& kind_of(const at::Tensor& weight) { return weight.size(2) == 3 ? wino::kThree : wino::kFour; }

WinogradGains winograd_gains(const at::Tensor& input, const at::Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding,
                             at::IntArrayRef dilation, bool transposed, int64_t groups) {
  if (transposed || groups != 1 || !are_all(dilation, 1) || !is_plain_last(input) || !is_plain_last(weight) ||
      weight.size(1) != input.size(1) || weight.size(0) % 16 != 0 || weight.size(1) % 16 != 0 || padding.empty() || padding[0] < 0) {
    return {};
  }
  const wino::Kind& kind = kind_of(weight);
  const int64_t pad = padding[0];
  if (weight.size(2) != kind.side() || weight.size(3) != kind.side() || !are_all(stride, kind.step) || !are_all(padding, pad) ||
      pad >= kind.side() || input.size(2) + 2 * pad < kind.side() || input.size(3) + 2 * pad < kind.side()) {
    return {};
  }
  return wino::gains(kind, input, weight, pad);
}

at::Tensor winograd_forward(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias, int64_t padding) {
  return wino::forward(kind_of(weight), input, weight, bias, padding);
}

bool winograd_fits_output(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight, int64_t padding) {
  const auto side = [&](int64_t dim) { return wino::side_of(kind_of(weight), input.size(dim), padding); };
  return is_plain(gradient) && gradient.dim() == 4 && gradient.size(0) == input.size(0) && gradient.size(1) == weight.size(0) &&
         gradient.size(2) == side(2) && gradient.size(3) == side(3);
}

// Those of the gradients of data and weight that are asked for.
std::tuple<at::Tensor, at::Tensor> winograd_backward(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                                                     int64_t padding, bool of_input, bool of_weight) {
  const wino::Kind& kind = kind_of(weight);
  const auto back = gradient.contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor to_input, to_weight;
  if (of_input) {
    to_input = wino::input_gradient(kind, back, input, weight, padding);
  }
  if (of_weight) {
    to_weight = wino::weight_gradient(kind, back, input, weight, padding);
  }
  return {to_input, to_weight};
}

}  // namespace
