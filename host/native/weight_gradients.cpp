// Gradients of convolutions' weights on a CPU, of maps in bf16 or f32 that lie channels-last: one product of the output's gradient,
// O × pixels, with the inputs that each of the window's taps meets, pixels × (taps · C), gathered a panel at a time. Sums are f32,
// rounded once. oneDNN's own kernels for bf16 and for AVX2 want maps whose sides and strides suit their registers, and lose up to nine
// tenths of their speed elsewhere.
// For convolutions.cpp alone.

#include "gradient_kernels.h"
#include "plain.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace {

namespace gradients {

using at::Tensor;

constexpr int64_t kChunk = 512;             // pixels at a time: a panel of them fits the nearest cache
constexpr int64_t kChunkBytes = 512 << 10;  // of gradients at a time: beside sums in the second cache
constexpr int64_t kGroup = 512;             // columns that share packed gradients
constexpr int64_t kFewestColumns = 64;      // of a group
constexpr int64_t kFewestPixels = 256;      // of a part
constexpr int64_t kTasks = 16;              // so many, whatever the threads, if none gets too small
constexpr int64_t kMostSums = 1 << 24;      // numbers of all parts: 64 MiB
constexpr auto kLast = at::MemoryFormat::ChannelsLast;

// A convolution of N × C × H × W to O × rows × columns.
struct Shape {
  int64_t images, channels, height, width, out, rows, columns, window_height, window_width;
  std::array<int64_t, 2> stride, padding, dilation;

  int64_t taps() const { return window_height * window_width; }
  int64_t all_columns() const { return taps() * channels; }
  int64_t pixels() const { return images * rows * columns; }
};

#if defined(__x86_64__)

// Inputs that a tap meets at outputs from `begin` to `end`; `zeros` outside.
template <typename Number>
void gather(const Shape& shape, int64_t tap, const Number* x, int64_t begin, int64_t end, const Number* zeros, const Number** to) {
  const int64_t down = tap / shape.window_width * shape.dilation[0] - shape.padding[0];
  const int64_t right = tap % shape.window_width * shape.dilation[1] - shape.padding[1];
  int64_t column = begin % shape.columns, row = begin / shape.columns % shape.rows, image = begin / (shape.columns * shape.rows);
  for (int64_t pixel = begin; pixel < end; column = 0) {
    const int64_t y = row * shape.stride[0] + down, count = std::min(shape.columns - column, end - pixel);
    const bool is_inside = y >= 0 && y < shape.height;
    const Number* line = x + (image * shape.height + y) * shape.width * shape.channels;
    for (int64_t k = 0; k < count; ++k) {
      const int64_t at = (column + k) * shape.stride[1] + right;
      *to++ = is_inside && at >= 0 && at < shape.width ? line + at * shape.channels : zeros;
    }
    pixel += count;
    if (++row == shape.rows) {
      row = 0;
      ++image;
    }
  }
}

// Outputs cut into blocks of about one size, each packed apart.
template <typename Arithmetic>
struct Blocks {
  using Number = typename Arithmetic::Number;
  using Word = typename Arithmetic::Word;

  int64_t out, count, step;

  Blocks(int64_t out, int64_t chunk)
      : out(out), count((out + Arithmetic::kMostRows - 1) / Arithmetic::kMostRows),
        step(chunk / Arithmetic::kRows * Arithmetic::kMostRows + Arithmetic::kSpill) {}

  int64_t first(int64_t block) const { return block * out / count; }
  int rows(int64_t block) const { return static_cast<int>(first(block + 1) - first(block)); }

  // Packs `pixels` of gradients of `out` numbers.
  void pack(const Number* gradient, int64_t pixels, const Number* zeros, Word* to) const {
    constexpr int64_t kAhead = 8, kLine = 64 / sizeof(Number);
    for (int64_t p = 0; p < pixels; p += Arithmetic::kRows) {
      const Number* one = gradient + p * out;
      const std::array<const Number*, 2> both = {one, p + 1 < pixels ? one + out : zeros};
      for (int64_t k = 0; k < Arithmetic::kRows * out; k += kLine) __builtin_prefetch(one + kAhead * out + k);
      for (int64_t block = 0; block < count; ++block) {
        // What is written past a block's rows is written over by the next word's, or lies behind the last one.
        Arithmetic::pack_few(both.data(), first(block), rows(block), to + block * step + p / Arithmetic::kRows * rows(block));
      }
    }
  }
};

// How the work is cut, whatever the threads: columns into groups, pixels into parts whose sums are added in their order.
struct Cut {
  int64_t group, groups, parts;

  Cut(const Shape& shape, int64_t panel) : parts(1) {
    const int64_t columns = shape.all_columns();
    group = std::min(columns, kGroup);
    const auto tasks = [&] { return (columns + group - 1) / group * parts; };
    while (tasks() < kTasks && shape.pixels() >= 2 * parts * kFewestPixels && 2 * parts * shape.out * columns <= kMostSums) {
      parts *= 2;
    }
    while (tasks() < kTasks && group >= 2 * kFewestColumns) {
      group = (group / 2 + panel - 1) / panel * panel;
    }
    groups = (columns + group - 1) / group;
  }
};

// One group's columns of one part's sums.
template <typename Arithmetic>
class Task {
 public:
  using Number = typename Arithmetic::Number;
  using Word = typename Arithmetic::Word;

  Task(const Shape& shape, const Number* x, const Number* gradient)
      : shape_(shape), x_(x), gradient_(gradient), chunk_(chunk_of(shape.out)), blocks_(shape.out, chunk_),
        packed_(at::empty({blocks_.count * blocks_.step + chunk_ / Arithmetic::kRows * Arithmetic::kPanel}, at::kFloat)),
        inputs_(chunk_ + 1), zeros_(std::max(shape.channels, shape.out) + Arithmetic::kPanel, Number(0)) {}

  void operator()(int64_t first_column, int64_t last_column, int64_t begin, int64_t end, float* sums) {
    auto* left = reinterpret_cast<Word*>(packed_.mutable_data_ptr<float>());
    auto* right = left + blocks_.count * blocks_.step;
    const int64_t columns = shape_.all_columns();
    for (int64_t pixel = begin; pixel < end; pixel += chunk_) {
      const int64_t count = std::min(chunk_, end - pixel), words = (count + Arithmetic::kRows - 1) / Arithmetic::kRows;
      blocks_.pack(gradient_ + pixel * shape_.out, count, zeros_.data(), left);
      int64_t gathered = -1;
      for (int64_t column = first_column; column < last_column; column += Arithmetic::kPanel) {
        const int64_t tap = column / shape_.channels;
        if (tap != gathered) {
          gather(shape_, tap, x_, pixel, pixel + count, zeros_.data(), inputs_.data());
          inputs_[count] = zeros_.data();
          gathered = tap;
        }
        Arithmetic::pack_panel(inputs_.data(), Arithmetic::kRows * words, column % shape_.channels, right);
        for (int64_t block = 0; block < blocks_.count; ++block) {
          Arithmetic::kMultiply[blocks_.rows(block)](left + block * blocks_.step, right, words,
                                                     sums + blocks_.first(block) * columns + column, columns, pixel != begin);
        }
      }
    }
  }

 private:
  // An even number.
  static int64_t chunk_of(int64_t out) {
    return std::clamp<int64_t>(kChunkBytes / (static_cast<int64_t>(sizeof(Number)) * out) / 2 * 2, 64, kChunk);
  }

  const Shape& shape_;
  const Number *x_, *gradient_;
  int64_t chunk_;
  Blocks<Arithmetic> blocks_;
  Tensor packed_;
  std::vector<const Number*> inputs_;
  std::vector<Number> zeros_;
};

template <typename Arithmetic>
Tensor weight_gradient(const Shape& shape, const Tensor& gradient, const Tensor& input, const Tensor& weight) {
  using Number = typename Arithmetic::Number;
  const Cut cut(shape, Arithmetic::kPanel);
  const int64_t columns = shape.all_columns(), pixels = shape.pixels();
  const auto sums = at::empty({cut.parts, shape.out, columns}, at::kFloat);
  auto result = at::empty(weight.sizes(), weight.options().memory_format(kLast));
  float* sums_data = sums.mutable_data_ptr<float>();
  const auto* x = static_cast<const Number*>(input.const_data_ptr());
  const auto* dy = static_cast<const Number*>(gradient.const_data_ptr());
  const auto start = [&](int64_t part) { return part == cut.parts ? pixels : part * pixels / cut.parts / 2 * 2; };
  at::parallel_for(0, cut.groups * cut.parts, 1, [&](int64_t first, int64_t last) {
    Task<Arithmetic> task(shape, x, dy);
    for (int64_t each = first; each < last; ++each) {
      const int64_t part = each / cut.groups, column = each % cut.groups * cut.group;
      task(column, std::min(columns, column + cut.group), start(part), start(part + 1), sums_data + part * shape.out * columns);
    }
  });
  auto* to = static_cast<Number*>(result.mutable_data_ptr());
  at::parallel_for(0, shape.out, 1, [&](int64_t first, int64_t last) {
    Arithmetic::join(sums_data + first * columns, cut.parts, shape.out * columns, (last - first) * columns, to + first * columns);
  });
  return result;
}

#endif

// When these kernels are taken.
enum class Use { kNever, kWhereItPays, kWhereItCan };

// Whether there are any for a kind of numbers.
bool are_used(at::ScalarType kind, Use use) {
#if defined(__x86_64__)
  static const bool pairs[] = {false, Pairs::pays(), Pairs::is_there()};
  static const bool singles[] = {false, Singles::pays(), Singles::is_there()};
  const auto at = static_cast<int>(use);
  return kind == at::kBFloat16 ? pairs[at] : kind == at::kFloat && singles[at];
#else
  return false;
#endif
}

}  // namespace gradients

// The gradient of a weight where that is faster than oneDNN's: nothing elsewhere, as where packing costs more than the product saves.
// Of bf16 with stride 1 and edges that are padded, oneDNN leaves out what the padding meets, and is the faster one but for few channels
// and small maps.
at::Tensor own_weight_gradient(gradients::Use use, const at::Tensor& gradient, const at::Tensor& input, const at::Tensor& weight,
                               at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                               int64_t groups) {
#if defined(__x86_64__)
  constexpr int64_t kFewestSums = 64 * 64, kSmall = 8192;
  const auto kind = input.scalar_type();
  if (!gradients::are_used(kind, use)) {
    return {};
  }
  const int64_t panel = kind == at::kFloat ? Singles::kPanel : Pairs::kPanel;
  if (transposed || groups != 1 || !is_plain_last(input, kind) || !is_plain_last(weight, kind) || !is_plain(gradient, kind) ||
      gradient.dim() != 4 || gradient.numel() == 0 || gradient.size(0) != input.size(0) || gradient.size(1) != weight.size(0) ||
      weight.size(1) != input.size(1) || input.size(1) % panel != 0 || stride.size() != 2 || padding.size() != 2 ||
      dilation.size() != 2) {
    return {};
  }
  const auto two = [](at::IntArrayRef numbers) { return std::array<int64_t, 2>{numbers[0], numbers[1]}; };
  const gradients::Shape shape{input.size(0),    input.size(1),    input.size(2),  input.size(3), weight.size(0), gradient.size(2),
                           gradient.size(3), weight.size(2), weight.size(3), two(stride),   two(padding),   two(dilation)};
  const auto fits = [&](int dim, int64_t side, int64_t window, int64_t outputs) {
    const int64_t room = side + 2 * padding[dim] - dilation[dim] * (window - 1) - 1;
    return padding[dim] >= 0 && dilation[dim] > 0 && stride[dim] > 0 && room >= 0 && outputs == room / stride[dim] + 1;
  };
  if (!fits(0, shape.height, shape.window_height, shape.rows) || !fits(1, shape.width, shape.window_width, shape.columns)) {
    return {};
  }
  const bool is_dense = kind == at::kBFloat16 && are_all(stride, 1) && !are_all(padding, 0);
  if (shape.out * shape.all_columns() < kFewestSums ||
      (is_dense && shape.rows * shape.columns * std::min(shape.channels, shape.out) > kSmall)) {
    return {};
  }
  const auto last = gradient.contiguous(gradients::kLast);
  return kind == at::kFloat ? gradients::weight_gradient<Singles>(shape, last, input, weight)
                            : gradients::weight_gradient<Pairs>(shape, last, input, weight);
#else
  return {};
#endif
}

}  // namespace
