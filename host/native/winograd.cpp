// Convolutions of 3×3 with stride 1 on a CPU by Winograd's F(2×2, 3×3), of f32 maps that lie channels-last: 16 multiplications
// where there were 36, for all three of output, gradient of data and gradient of weight. oneDNN's own kernels multiply directly,
// close to the processor's peak.
// For products.cpp alone, where products are oneDNN's: `mkldnn_matmul` refuses f32 on other processors.

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

namespace at::native {
// libtorch has it for bf16 and f16, and takes f32 where the processor has AVX-512. Its header is not among those installed.
TORCH_API void mkldnn_matmul(const Tensor& one, const Tensor& two, const Tensor& result, float beta, float alpha);
}  // namespace at::native

namespace {

namespace wino {

using at::Tensor;
using winograd::kPositions;

constexpr int64_t kGrain = 16;   // the fewest tiles, or rows of weights, that are worth a thread
constexpr int64_t kOften = 16;   // more chunks than these, and weights are turned once for all
constexpr int64_t kShares = 4;   // chunks for each convolution, at the least, if they are not too small then
constexpr auto kLast = at::MemoryFormat::ChannelsLast;

// Maps of N × C × H × W, cut into tiles of 2×2; a tile that reaches past an odd edge sees zeros there, or writes nothing.
struct Tiles {
  int64_t images, height, width, down, across;

  explicit Tiles(const Tensor& maps)
      : images(maps.size(0)), height(maps.size(2)), width(maps.size(3)), down((height + 1) / 2), across((width + 1) / 2) {}

  int64_t count() const { return images * down * across; }

  // Calls `each(k, pixels)` for the tiles from `begin` to `end`, k counted from 0: Side × Side pixels of a tile, the first one `before`
  // the outputs' first, those outside replaced.
  template <int Side, int Before, typename Number, typename Each>
  void pixels(Number* maps, int64_t channels, Number* outside, int64_t begin, int64_t end, Each each) const {
    int64_t x = begin % across, y = begin / across % down, image = begin / (across * down);
    std::array<Number*, Side * Side> found;
    for (int64_t tile = begin; tile < end; ++tile) {
      Number* const map = maps + image * height * width * channels;
      for (int i = 0; i < Side; ++i) {
        const int64_t row = 2 * y + i - Before;
        for (int j = 0; j < Side; ++j) {
          const int64_t column = 2 * x + j - Before;
          const bool inside = row >= 0 && row < height && column >= 0 && column < width;
          found[Side * i + j] = inside ? map + (row * width + column) * channels : outside;
        }
      }
      each(tile - begin, found.data());
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

void transform_inputs(const Tiles& tiles, const float* maps, int64_t channels, int64_t begin, int64_t end, float* to, int64_t step) {
  const std::vector<float> zeros(channels, 0.0f);
  const int64_t tile_below = 2 * tiles.width * channels;
  tiles.pixels<4, 1>(maps, channels, zeros.data(), begin, end, [&](int64_t k, const float* const* pixels) {
    for (int p : {9, 10, 13, 14}) ask_for(pixels[p] + tile_below, channels);
    winograd::input_tile(pixels, channels, to + k * channels, step);
  });
}

void transform_gradients(const Tiles& tiles, const float* maps, int64_t channels, int64_t begin, int64_t end, float* to, int64_t step) {
  const std::vector<float> zeros(channels, 0.0f);
  const int64_t two_tiles = 4 * channels;
  tiles.pixels<2, 0>(maps, channels, zeros.data(), begin, end, [&](int64_t k, const float* const* pixels) {
    for (int p = 0; p < 4; ++p) ask_for(pixels[p] + two_tiles, channels);
    winograd::gradient_tile(pixels, channels, to + k * channels, step);
  });
}

void transform_outputs(const Tiles& tiles, const float* from, int64_t step, int64_t channels, const float* bias, int64_t begin,
                       int64_t end, float* maps) {
  std::vector<float> unused(channels);
  tiles.pixels<2, 0>(maps, channels, unused.data(), begin, end, [&](int64_t k, float* const* pixels) {
    winograd::output_tile(from + k * channels, step, channels, bias, pixels);
  });
}

// Where it was faster than oneDNN on two cores with AVX-512, output and gradients together and neither much slower: enough channels
// that the products outweigh the transforms, enough tiles for weights to be worth a transform, not too many of them half outside.
bool pays(const Tensor& input, const Tensor& weight) {
  const int64_t in = weight.size(1), out = weight.size(0), tiles = Tiles(input).count();
  const int64_t pixels = input.size(0) * input.size(2) * input.size(3);
  return std::min(in, out) >= 32 && in + out >= 96 && tiles >= 32 && 3 * pixels >= 8 * tiles;
}

// Tiles at a time, of `tiles`: their positions stay in the caches, and the weights, read for each chunk, are used often enough; small
// work is cut into `shares` where the chunks are then large enough, whatever the threads.
int64_t chunk_of(int64_t in, int64_t out, int64_t tiles, int64_t shares) {
  const int64_t both = in + out, fewest = std::clamp<int64_t>(both * both / 2048, 128, 512);
  const int64_t most = std::clamp(tiles / shares, fewest, std::max((1 << 16) / both, fewest));
  const int64_t chunks = (tiles + most - 1) / most;
  return (tiles + chunks - 1) / chunks;
}

// Maps of as many pixels, by weights of 16 × channels in × channels out.
Tensor convolve(const Tensor& maps, const Tensor& weights, const std::optional<Tensor>& bias) {
  const Tiles tiles(maps);
  const int64_t in = weights.size(1), out = weights.size(2), count = tiles.count();
  auto result = at::empty({maps.size(0), out, maps.size(2), maps.size(3)}, maps.options().memory_format(kLast));
  const auto plain = maps.options().memory_format(at::MemoryFormat::Contiguous);
  const Tensor added = bias && bias->defined() ? bias->contiguous() : at::zeros({out}, plain);
  const float *from = maps.const_data_ptr<float>(), *bias_data = added.const_data_ptr<float>();
  float* to = result.mutable_data_ptr<float>();
  const int64_t chunk = chunk_of(in, out, count, kShares);
  const int64_t chunks = (count + chunk - 1) / chunk, threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  // A thread by itself, in caches of its own; what is left after as many for each is done by all together.
  const int64_t alone = chunks - chunks % threads;
  const auto each_chunk = [&](int64_t first, int64_t last) {
    const auto inputs = positions(chunk, in, maps), outputs = positions(chunk, out, maps);
    for (int64_t each = first; each < last; ++each) {
      const int64_t begin = each * chunk, rows = std::min(count - begin, chunk);
      const auto one = part_of(inputs, rows), two = part_of(outputs, rows);
      float *v = one.mutable_data_ptr<float>(), *m = two.mutable_data_ptr<float>();
      at::parallel_for(0, rows, kGrain, [&](int64_t begin_here, int64_t end_here) {
        transform_inputs(tiles, from, in, begin + begin_here, begin + end_here, v + begin_here * in, rows * in);
      });
      at::native::mkldnn_matmul(one, weights, two, 0, 1);
      at::parallel_for(0, rows, kGrain, [&](int64_t begin_here, int64_t end_here) {
        transform_outputs(tiles, m + begin_here * out, rows * out, out, bias_data, begin + begin_here, begin + end_here, to);
      });
    }
  };
  at::parallel_for(0, alone, 1, each_chunk);
  if (alone < chunks) {
    each_chunk(alone, chunks);
  }
  return result;
}

// 16 × rows × columns, of weights whose rows lie `row` apart and whose 3×3 numbers `apart`.
Tensor transformed(const float* from, int64_t row, int64_t apart, int64_t rows, int64_t columns, const Tensor& like) {
  auto result = positions(rows, columns, like);
  float* to = result.mutable_data_ptr<float>();
  at::parallel_for(0, rows, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t r = first; r < last; ++r) winograd::to_positions(from + r * row, apart, columns, to + r * columns, rows * columns);
  });
  return result;
}

// 16 × channels in × channels out, of weights of out × in × 3 × 3. To turn them so that rows are channels in takes one thread its
// time; the products take them as they are as well, and turn them themselves for each chunk.
Tensor for_outputs(const Tensor& weight, int64_t tiles) {
  const int64_t out = weight.size(0), in = weight.size(1);
  if (tiles <= kOften * chunk_of(in, out, tiles, kShares)) {
    return transformed(weight.const_data_ptr<float>(), 9 * in, in, out, in, weight).transpose(1, 2);
  }
  const auto turned = weight.permute({0, 2, 3, 1}).reshape({out, 9 * in}).t().contiguous();
  return transformed(turned.const_data_ptr<float>(), out, in * out, in, out, weight);
}

// 16 × channels out × channels in, turned by 180°.
Tensor for_inputs(const Tensor& weight) {
  const int64_t out = weight.size(0), in = weight.size(1);
  return transformed(weight.const_data_ptr<float>() + 8 * in, 9 * in, -in, out, in, weight);
}

Tensor weight_gradient(const Tensor& gradient, const Tensor& input, const Tensor& weight) {
  const Tiles tiles(input);
  const int64_t in = weight.size(1), out = weight.size(0), count = tiles.count();
  // As many sums whatever the threads, each over chunks in their order.
  int64_t parts = 1;
  while (parts < 16 && count >= 2048 * parts) {
    parts *= 2;
  }
  const int64_t most = (count + parts - 1) / parts;
  const int64_t chunk = chunk_of(in, out, most, 1);
  const auto sums = at::empty({parts, kPositions, out, in}, input.options().memory_format(at::MemoryFormat::Contiguous));
  const float *from = input.const_data_ptr<float>(), *back = gradient.const_data_ptr<float>();
  const auto each_part = [&](int64_t first, int64_t last) {
    const auto inputs = positions(chunk, in, input), gradients = positions(chunk, out, input);
    for (int64_t part = first; part < last; ++part) {
      const auto sum = sums.select(0, part);
      const int64_t start = part * count / parts, end = (part + 1) * count / parts;
      for (int64_t begin = start; begin < end; begin += chunk) {
        const int64_t rows = std::min(chunk, end - begin);
        const auto one = part_of(inputs, rows), two = part_of(gradients, rows);
        float *v = one.mutable_data_ptr<float>(), *d = two.mutable_data_ptr<float>();
        at::parallel_for(0, rows, kGrain, [&](int64_t begin_here, int64_t end_here) {
          transform_inputs(tiles, from, in, begin + begin_here, begin + end_here, v + begin_here * in, rows * in);
          transform_gradients(tiles, back, out, begin + begin_here, begin + end_here, d + begin_here * out, rows * out);
        });
        at::native::mkldnn_matmul(two.transpose(1, 2), one, sum, begin == start ? 0.0f : 1.0f, 1);
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
  at::parallel_for(0, out, kGrain, [&](int64_t first, int64_t last) {
    for (int64_t o = first; o < last; ++o) winograd::from_positions(whole + o * in, out * in, in, to + 9 * o * in, in);
  });
  return result;
}

}  // namespace wino

bool winograd_fits(const at::Tensor& input, const at::Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding,
                   at::IntArrayRef dilation, bool transposed, int64_t groups) {
  const auto ones = [](at::IntArrayRef numbers) {
    return std::all_of(numbers.begin(), numbers.end(), [](int64_t each) { return each == 1; });
  };
  const auto plain = [](const at::Tensor& tensor) {
    return tensor.dim() == 4 && is_plain(tensor) && tensor.numel() > 0 && tensor.is_contiguous(at::MemoryFormat::ChannelsLast);
  };
  return !transposed && groups == 1 && ones(stride) && ones(padding) && ones(dilation) && plain(input) && plain(weight) &&
         weight.size(2) == 3 && weight.size(3) == 3 && weight.size(1) == input.size(1) && weight.size(0) % 16 == 0 &&
         weight.size(1) % 16 == 0 && wino::pays(input, weight);
}

at::Tensor winograd_forward(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  return wino::convolve(input, wino::for_outputs(weight, wino::Tiles(input).count()), bias);
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> winograd_backward(const at::Tensor& gradient, const at::Tensor& input,
                                                                 const at::Tensor& weight, std::array<bool, 3> mask) {
  const auto back = gradient.contiguous(at::MemoryFormat::ChannelsLast);
  at::Tensor to_input, to_weight, to_bias;
  if (mask[0]) {
    to_input = wino::convolve(back, wino::for_inputs(weight), std::nullopt);
  }
  if (mask[1]) {
    to_weight = wino::weight_gradient(back, input, weight);
  }
  if (mask[2]) {
    to_bias = back.sum({0, 2, 3});
  }
  return {to_input, to_weight, to_bias};
}

}  // namespace
