// Convolutions on a CPU by Winograd's F(n×n, r×r), of f32 maps that lie channels-last: those of 3×3 with stride 1, and those of 4×4
// with stride 2, which are sums of four of 2×2, each over every second row and column ("phases"). A tile of 4×4 outputs of the former
// takes 36 multiplications where there were 144, one of 3×3 of the latter 64 where there were 144. For all three of output, gradient of
// data and gradient of weight. oneDNN's own kernels multiply directly, close to the processor's peak.
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

namespace wino {

struct Kind;

}  // namespace wino

// By which kind a convolution's output, gradient of data and gradient of weight are made; none: directly.
struct WinogradPlan {
  const wino::Kind *output = nullptr, *input = nullptr, *weight = nullptr;
  bool input_backwards = false;
};

namespace wino {

using at::Tensor;

constexpr int64_t kGrain = 16;   // the fewest tiles, or rows of weights, that are worth a thread
constexpr int64_t kOften = 16;   // more chunks than these, and weights are turned once for all
constexpr int64_t kShares = 4;   // chunks for each convolution, at the least, if they are not too small then
constexpr int64_t kMostSums = 1 << 24;  // numbers of weights' gradients at a time: 64 MiB
constexpr int64_t kMostPixels = winograd::kMostTile * winograd::kMostTile;
constexpr auto kLast = at::MemoryFormat::ChannelsLast;

// Convolutions that differ in their sizes alone, and how they are made: the side of a phase's weights, of a tile of its outputs, and how
// many phases a side has.
struct Kind {
  int64_t taps, outs, step;
  const winograd::Transforms& transforms;

  int64_t phases() const { return step * step; }
  int64_t window() const { return taps * step; }
  int64_t tile() const { return taps + outs - 1; }
  int64_t positions() const { return tile() * tile(); }
};

// Those of one window, the smaller tile first: the larger one takes fewer multiplications, and keeps fewer of f32's bits.
const std::array<Kind, 4> kThrees{{{3, 2, 1, winograd::two_by_three::all},
                                   {3, 3, 1, winograd::three_by_three::all},
                                   {3, 4, 1, winograd::four_by_three::all},
                                   {3, 5, 1, winograd::five_by_three::all}}};
const std::array<Kind, 1> kFours{{{2, 3, 2, winograd::three_by_two::all}}};

bool is_three(const Tensor& weight) { return weight.size(2) == 3; }

// Of the window that weights have, or would have.
const Kind& smallest_of(const Tensor& weight) { return is_three(weight) ? kThrees[0] : kFours[0]; }

// The side of a convolution's output.
int64_t side_of(const Kind& kind, int64_t input, int64_t padding) { return (input + 2 * padding - kind.window()) / kind.step + 1; }

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
  bool covers() const { return down == 1 && across == 1; }

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

Tensor positions(const Kind& kind, int64_t rows, int64_t columns, const Tensor& like) {
  return at::empty({kind.positions(), rows, columns}, like.options().memory_format(at::MemoryFormat::Contiguous));
}

// The first `rows` of each position, of a buffer for more: products are slower where positions have gaps between them.
Tensor part_of(const Tensor& buffer, int64_t rows) {
  const int64_t count = buffer.size(0), columns = buffer.size(2);
  return rows == buffer.size(1) ? buffer : buffer.view(-1).narrow(0, 0, count * rows * columns).view({count, rows, columns});
}

// Asks for a pixel's channels before they are needed: more streams go at once than the processor foresees.
void ask_for(const float* pixel, int64_t channels) {
  for (int64_t c = 0; c < channels; c += winograd::kLanes) __builtin_prefetch(pixel + c, 0, 2);
}

// The pixels of tiles in the phases of maps: so many a side, the first one `before` the first of the tile's outputs; and what becomes of
// them, or what they are made by.
template <typename Number>
struct Pixels {
  std::vector<Maps<Number>> phases;
  int64_t side, before;
  winograd::Transform transform;

  int64_t channels() const { return phases[0].channels; }

  // Where the channels of a tile's pixels begin; `outside` for those outside of the maps.
  std::array<Number*, kMostPixels> of(size_t phase, int64_t image, int64_t y, int64_t x, Number* outside) const {
    std::array<Number*, kMostPixels> pixels;
    for (int64_t i = 0; i < side; ++i) {
      for (int64_t j = 0; j < side; ++j) {
        pixels[side * i + j] = phases[phase].pixel(image, y - before + i, x - before + j, outside);
      }
    }
    return pixels;
  }
};

// The positions of tiles, row by row from `to` on, the phases' channels one after the other; numbers of a position lie `step` apart from
// those of the next.
void read_tiles(const Kind& kind, const Tiles& tiles, const Pixels<const float>& maps, int64_t begin, int64_t end, float* to,
                int64_t step) {
  const int64_t channels = maps.channels(), row = int64_t(maps.phases.size()) * channels;
  const std::vector<float> zeros(channels, 0.0f);
  const auto& first = maps.phases[0];
  const int64_t rows_below = tiles.down > 1 ? kind.outs * first.step : first.height, below = rows_below * first.width * channels;
  const int64_t old = tiles.covers() ? 0 : std::max<int64_t>(maps.side - kind.outs, 0);
  tiles.each(begin, end, [&](int64_t k, int64_t image, int64_t y, int64_t x) {
    std::array<float*, kMostPixels> positions;
    for (size_t phase = 0; phase < maps.phases.size(); ++phase) {
      const auto pixels = maps.of(phase, image, kind.outs * y, kind.outs * x, zeros.data());
      for (int64_t i = old; i < maps.side; ++i) {
        for (int64_t j = old; j < maps.side; ++j) ask_for(pixels[maps.side * i + j] + below, channels);
      }
      for (int64_t p = 0; p < kind.positions(); ++p) positions[p] = to + p * step + k * row + int64_t(phase) * channels;
      maps.transform(pixels.data(), positions.data(), channels, nullptr);
    }
  });
}

// The other way; `bias` is added to outputs.
void write_tiles(const Kind& kind, const Tiles& tiles, const float* from, int64_t step, const float* bias, int64_t begin, int64_t end,
                 const Pixels<float>& maps) {
  const int64_t channels = maps.channels(), row = int64_t(maps.phases.size()) * channels;
  std::vector<float> unused(channels);
  tiles.each(begin, end, [&](int64_t k, int64_t image, int64_t y, int64_t x) {
    std::array<const float*, kMostPixels> positions;
    for (size_t phase = 0; phase < maps.phases.size(); ++phase) {
      const auto pixels = maps.of(phase, image, kind.outs * y, kind.outs * x, unused.data());
      for (int64_t p = 0; p < kind.positions(); ++p) positions[p] = from + p * step + k * row + int64_t(phase) * channels;
      maps.transform(positions.data(), pixels.data(), channels, bias);
    }
  });
}

// Tiles at a time, of `tiles`: their positions stay in the caches, and the weights, read for each chunk, are used often enough; small
// work is cut into `shares` where the chunks are then large enough, whatever the threads.
int64_t chunk_of(const Kind& kind, int64_t in, int64_t out, int64_t tiles, int64_t shares) {
  const int64_t both = in + out, fewest = std::clamp<int64_t>(both * both / 2048, 128, 512);
  const int64_t most = std::clamp(tiles / shares, fewest, std::max((1 << 20) / (both * kind.positions()), fewest));
  const int64_t chunks = (tiles + most - 1) / most;
  return (tiles + chunks - 1) / chunks;
}

// What the maps `from` give in the maps `to`, by weights of positions × channels in × channels out, those of all phases together.
void convolve(const Kind& kind, const Tiles& tiles, const Pixels<const float>& from, const Tensor& weights, const float* bias,
              const Pixels<float>& to) {
  const int64_t in = weights.size(1), out = weights.size(2), count = tiles.count();
  const int64_t chunk = chunk_of(kind, in, out, count, kShares);
  const int64_t chunks = (count + chunk - 1) / chunk, threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  // A thread by itself, in caches of its own; what is left after as many for each is done by all together.
  const int64_t alone = chunks - chunks % threads;
  const auto each_chunk = [&](int64_t first, int64_t last) {
    const auto inputs = positions(kind, chunk, in, weights), outputs = positions(kind, chunk, out, weights);
    for (int64_t each = first; each < last; ++each) {
      const int64_t begin = each * chunk, rows = std::min(count - begin, chunk);
      auto one = part_of(inputs, rows), two = part_of(outputs, rows);
      float *v = one.mutable_data_ptr<float>(), *m = two.mutable_data_ptr<float>();
      at::parallel_for(0, rows, kGrain, [&](int64_t begin_here, int64_t end_here) {
        read_tiles(kind, tiles, from, begin + begin_here, begin + end_here, v + begin_here * in, one.stride(0));
      });
      multiply_all(one, weights, two, false);
      at::parallel_for(0, rows, kGrain, [&](int64_t begin_here, int64_t end_here) {
        write_tiles(kind, tiles, m + begin_here * out, two.stride(0), bias, begin + begin_here, begin + end_here, to);
      });
    }
  };
  at::parallel_for(0, alone, 1, each_chunk);
  if (alone < chunks) {
    each_chunk(alone, chunks);
  }
}

// A phase's window of weights in memory K × K × C, `turned` by 180°; `first` is that of a row of them.
template <typename Number>
std::array<Number*, 9> window_of(const Kind& kind, Number* first, int64_t phase, int64_t channels, bool turned) {
  std::array<Number*, 9> taps;
  for (int64_t k = 0; k < kind.taps * kind.taps; ++k) {
    const int64_t tap = turned ? kind.taps * kind.taps - 1 - k : k;
    const int64_t down = tap / kind.taps * kind.step + phase / kind.step, across = tap % kind.taps * kind.step + phase % kind.step;
    taps[k] = first + (down * kind.window() + across) * channels;
  }
  return taps;
}

// The positions of weights of O × C × K × K in memory O × K × K × C: positions × O × (phases · C), those of a phase together.
Tensor transformed(const Kind& kind, const Tensor& weight, bool turned) {
  const int64_t rows = weight.size(0), channels = weight.size(1), columns = kind.phases() * channels;
  auto result = positions(kind, rows, columns, weight);
  const float* from = weight.const_data_ptr<float>();
  float* to = result.mutable_data_ptr<float>();
  at::parallel_for(0, rows, kGrain, [&](int64_t first_row, int64_t last_row) {
    std::array<float*, kMostPixels> positions;
    for (int64_t r = first_row; r < last_row; ++r) {
      for (int64_t phase = 0; phase < kind.phases(); ++phase) {
        const auto taps = window_of(kind, from + r * kind.window() * kind.window() * channels, phase, channels, turned);
        for (int64_t p = 0; p < kind.positions(); ++p) positions[p] = to + p * result.stride(0) + r * columns + phase * channels;
        kind.transforms.weights(taps.data(), positions.data(), channels, nullptr);
      }
    }
  });
  return result;
}

// Positions × channels in × channels out. oneDNN takes rows of channels out as well, and turns them itself for each chunk.
Tensor for_outputs(const Kind& kind, const Tensor& weight, int64_t tiles) {
  const int64_t out = weight.size(0), in = kind.phases() * weight.size(1);
  const auto rows = transformed(kind, weight, false).transpose(1, 2);
  const bool seldom = tiles <= kOften * chunk_of(kind, in, out, tiles, kShares);
  return seldom && products_are_by_onednn() ? rows : rows.contiguous();
}

Tensor forward(const Kind& kind, const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, int64_t padding) {
  const int64_t height = side_of(kind, input.size(2), padding), width = side_of(kind, input.size(3), padding);
  auto output = at::empty({input.size(0), weight.size(0), height, width}, input.options().memory_format(kLast));
  const auto plain = input.options().memory_format(at::MemoryFormat::Contiguous);
  const Tensor added = bias && bias->defined() ? bias->contiguous() : at::zeros({weight.size(0)}, plain);
  const auto tiles = output_tiles(kind, output);
  convolve(kind, tiles, {phases_of(input.const_data_ptr<float>(), input, kind.step, padding), kind.tile(), 0, kind.transforms.inputs},
           for_outputs(kind, weight, tiles.count()), added.const_data_ptr<float>(),
           {phases_of(output.mutable_data_ptr<float>(), output, 1, 0), kind.outs, 0, kind.transforms.outputs});
  return output;
}

// A convolution of the outputs' gradient by turned weights.
Tensor input_gradient(const Kind& kind, const Tensor& gradient, const Tensor& input, const Tensor& weight, int64_t padding) {
  auto result = at::empty(input.sizes(), input.options().memory_format(kLast));
  const auto none = at::zeros({input.size(1)}, input.options().memory_format(at::MemoryFormat::Contiguous));
  // With one phase, pixels are counted from the first one inside; with several, from the first one of the padding.
  const int64_t skipped = kind.step > 1 ? 0 : padding;
  convolve(kind, input_tiles(kind, input, padding),
           {phases_of(gradient.const_data_ptr<float>(), gradient, 1, 0), kind.tile(), kind.taps - 1 - skipped, kind.transforms.inputs},
           transformed(kind, weight, true), none.const_data_ptr<float>(),
           {phases_of(result.mutable_data_ptr<float>(), result, kind.step, padding - skipped), kind.outs, 0, kind.transforms.outputs});
  return result;
}

// The output's algorithm backwards, where one tile covers the map: others' inputs would meet.
Tensor input_gradient_of_a_tile(const Kind& kind, const Tensor& gradient, const Tensor& input, const Tensor& weight, int64_t padding) {
  auto result = at::empty(input.sizes(), input.options().memory_format(kLast)).zero_();
  convolve(kind, output_tiles(kind, gradient),
           {phases_of(gradient.const_data_ptr<float>(), gradient, 1, 0), kind.outs, 0, kind.transforms.to_outputs},
           transformed(kind, weight, false), nullptr,
           {phases_of(result.mutable_data_ptr<float>(), result, kind.step, padding), kind.tile(), 0, kind.transforms.to_inputs});
  return result;
}

Tensor weight_gradient(const Kind& kind, const Tensor& gradient, const Tensor& input, const Tensor& weight, int64_t padding) {
  const auto tiles = output_tiles(kind, gradient);
  const int64_t channels = weight.size(1), in = kind.phases() * channels, out = weight.size(0), count = tiles.count();
  // As many sums whatever the threads, each over chunks in their order; fewer where they are large.
  int64_t parts = 1;
  while (parts < 16 && count >= 2048 * parts && 2 * parts * kind.positions() * in * out <= kMostSums) {
    parts *= 2;
  }
  const int64_t most = (count + parts - 1) / parts;
  const int64_t chunk = chunk_of(kind, in, out, most, 1);
  std::vector<Tensor> sums;
  for (int64_t part = 0; part < parts; ++part) sums.push_back(positions(kind, out, in, input));
  const Pixels<const float> from{phases_of(input.const_data_ptr<float>(), input, kind.step, padding), kind.tile(), 0,
                                 kind.transforms.inputs};
  const Pixels<const float> back{phases_of(gradient.const_data_ptr<float>(), gradient, 1, 0), kind.outs, 0, kind.transforms.to_outputs};
  const auto each_part = [&](int64_t first, int64_t last) {
    const auto inputs = positions(kind, chunk, in, input), gradients = positions(kind, chunk, out, input);
    for (int64_t part = first; part < last; ++part) {
      const int64_t start = part * count / parts, end = (part + 1) * count / parts;
      for (int64_t begin = start; begin < end; begin += chunk) {
        const int64_t rows = std::min(chunk, end - begin);
        const auto one = part_of(inputs, rows), two = part_of(gradients, rows);
        float *v = one.mutable_data_ptr<float>(), *d = two.mutable_data_ptr<float>();
        at::parallel_for(0, rows, kGrain, [&](int64_t begin_here, int64_t end_here) {
          read_tiles(kind, tiles, from, begin + begin_here, begin + end_here, v + begin_here * in, one.stride(0));
          read_tiles(kind, tiles, back, begin + begin_here, begin + end_here, d + begin_here * out, two.stride(0));
        });
        multiply_all(two.transpose(1, 2), one, sums[part], begin != start);
      }
    }
  };
  if (parts < at::get_num_threads()) {
    each_part(0, parts);
  } else {
    at::parallel_for(0, parts, 1, each_part);
  }
  for (int64_t part = 1; part < parts; ++part) sums[0].add_(sums[part]);
  auto result = at::empty(weight.sizes(), weight.options().memory_format(kLast));
  const float* whole = sums[0].const_data_ptr<float>();
  float* to = result.mutable_data_ptr<float>();
  at::parallel_for(0, out, kGrain, [&](int64_t first_row, int64_t last_row) {
    std::array<const float*, kMostPixels> positions;
    for (int64_t o = first_row; o < last_row; ++o) {
      for (int64_t phase = 0; phase < kind.phases(); ++phase) {
        const auto taps = window_of(kind, to + o * kind.window() * kind.window() * channels, phase, channels, false);
        for (int64_t p = 0; p < kind.positions(); ++p) positions[p] = whole + p * sums[0].stride(0) + o * in + phase * channels;
        kind.transforms.to_weights(positions.data(), taps.data(), channels, nullptr);
      }
    }
  });
  return result;
}

// How many times faster than oneDNN's kernels: by multiplications, and by what costs time beside them, each in multiplications: to make a
// number of a position from pixels or the other way, and one from weights. Measured on two cores with AVX-512.
struct Gain {
  double of_many = 1;  // of so many tiles that weights cost nothing
  double of_these = 1;

  Gain() = default;  // none: directly

  Gain(const Kind& kind, const Tiles& tiles, double directly, int64_t in, int64_t out) {
    constexpr double kOfPixels = 25, kOfWeights = 60;
    const double pairs = double(in) * double(out), tile = pairs + double(in + out) * kOfPixels, count = double(tiles.count());
    of_many = directly * pairs / (double(kind.positions()) * count * tile);
    of_these = directly * pairs / (double(kind.positions()) * (count * tile + pairs * kOfWeights));
  }
};

// The kind that gains the most of many tiles, if it gains enough of these: which one does not depend on the number of images, so that an
// image's numbers do not either, where there are enough. The largest tile, which keeps the fewest bits, only where it covers a map.
struct Best {
  static constexpr double kWorth = 1.1, kEnough = 1.15;
  const Kind* kind = nullptr;
  Gain gain;

  void meet(const Kind& other, const Tiles& tiles, double directly, int64_t in, int64_t out) {
    const Gain gained(other, tiles, directly, in, out);
    if (gained.of_many > kWorth * gain.of_many && (other.tile() < winograd::kMostTile || tiles.covers())) {
      kind = &other;
      gain = gained;
    }
  }

  const Kind* chosen() const { return gain.of_these > kEnough ? kind : nullptr; }
};

template <typename Kinds>
WinogradPlan plan(const Kinds& kinds, const Tensor& input, const Tensor& weight, int64_t padding) {
  Best output, from_tiles, from_maps;
  for (const Kind& kind : kinds) {
    const int64_t in = kind.phases() * weight.size(1), out = weight.size(0);
    const int64_t height = side_of(kind, input.size(2), padding), width = side_of(kind, input.size(3), padding);
    const double directly = double(input.size(0) * height * width * kind.taps * kind.taps);
    const Tiles outputs(input.size(0), height, width, kind.outs);
    output.meet(kind, outputs, directly, in, out);
    from_tiles.meet(kind, input_tiles(kind, input, padding), directly, in, out);
    if (outputs.covers()) {
      from_maps.meet(kind, outputs, directly, in, out);
    }
  }
  const bool backwards = from_maps.gain.of_many > from_tiles.gain.of_many;
  return {output.chosen(), backwards ? from_maps.chosen() : from_tiles.chosen(), output.chosen(), backwards};
}

}  // namespace wino

WinogradPlan winograd_plan(const at::Tensor& input, const at::Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding,
                           at::IntArrayRef dilation, bool transposed, int64_t groups) {
  if (transposed || groups != 1 || !are_all(dilation, 1) || !is_plain_last(input) || !is_plain_last(weight) ||
      weight.size(1) != input.size(1) || weight.size(0) % winograd::kLanes != 0 || weight.size(1) % winograd::kLanes != 0 ||
      padding.empty() || padding[0] < 0) {
    return {};
  }
  const wino::Kind& kind = wino::smallest_of(weight);
  const int64_t pad = padding[0], window = kind.window();
  if (weight.size(2) != window || weight.size(3) != window || !are_all(stride, kind.step) || !are_all(padding, pad) || pad >= window ||
      input.size(2) + 2 * pad < window || input.size(3) + 2 * pad < window) {
    return {};
  }
  return wino::is_three(weight) ? wino::plan(wino::kThrees, input, weight, pad) : wino::plan(wino::kFours, input, weight, pad);
}

at::Tensor winograd_forward(const WinogradPlan& plan, const at::Tensor& input, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias, int64_t padding) {
  return wino::forward(*plan.output, input, weight, bias, padding);
}

bool winograd_fits_output(const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight, int64_t padding) {
  const wino::Kind& kind = wino::smallest_of(weight);
  const auto side = [&](int64_t dim) { return wino::side_of(kind, input.size(dim), padding); };
  return is_plain(gradient) && gradient.dim() == 4 && gradient.size(0) == input.size(0) && gradient.size(1) == weight.size(0) &&
         gradient.size(2) == side(2) && gradient.size(3) == side(3);
}

// Those of the gradients of data and weight that are asked for.
std::tuple<at::Tensor, at::Tensor> winograd_backward(const WinogradPlan& plan, const at::Tensor& gradient, const at::Tensor& input,
                                                     const at::Tensor& weight, int64_t padding, bool of_input, bool of_weight) {
  const auto back = gradient.contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor to_input, to_weight;
  if (of_input) {
    const auto made = plan.input_backwards ? wino::input_gradient_of_a_tile : wino::input_gradient;
    to_input = made(*plan.input, back, input, weight, padding);
  }
  if (of_weight) {
    to_weight = wino::weight_gradient(*plan.weight, back, input, weight, padding);
  }
  return {to_input, to_weight};
}

}  // namespace
