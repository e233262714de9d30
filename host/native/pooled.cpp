// A residual layer's shortcut that is pooled to half its size and lacks channels: average pooling, the zeros of the channels and the sum
// in one pass over memory, on a CPU, of f32 or bf16 maps that lie channels-last. Of the host's own, for plugins too.

#include "bf16_numbers.h"
#include "plain.h"
#include "wide.h"

#include <ATen/Parallel.h>
#include <ATen/ops/avg_pool2d.h>
#include <ATen/ops/avg_pool2d_backward.h>
#include <ATen/ops/constant_pad_nd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

namespace pooled {

using at::Tensor;

// Images of H × W pixels of C numbers, pooled by windows to pixels of which another map has at least as many numbers.
struct Shape {
  int64_t images, height, across, channels, to_height, to_across, to_channels, width, stride;

  Shape(const Tensor& y, const Tensor& x, int64_t width, int64_t stride)
      : images(x.size(0)), height(x.size(2)), across(x.size(3)), channels(x.size(1)), to_height(y.size(2)),
        to_across(y.size(3)), to_channels(y.size(1)), width(width), stride(stride) {}

  float share() const { return 1 / static_cast<float>(width * width); }

  // The windows that a row or a column lies in: from the first one to before the last.
  int64_t first(int64_t at) const { return at < width ? 0 : (at - width) / stride + 1; }
  int64_t end(int64_t at, int64_t count) const { return std::min(at / stride + 1, count); }
};

// Numbers of a pixel that are summed at once, in registers; many, so that finding the next pixel costs little beside.
constexpr int64_t kMany = 64, kSome = 32, kFew = 16;

// Pixels of a map: a corner, how many rows and columns lie below and right of it, and how far apart they lie.
template <typename Number>
struct Window {
  const Number* corner;
  int64_t rows, columns, down, right;
};

// Sums `count` numbers of each pixel from `from` on, and adds `share` of that to those of `to`, or puts it there.
template <typename Number>
INFOMAX_INLINE void pool_some(const Window<Number>& window, int64_t from, int64_t count, float share, bool adds,
                              Number* __restrict to) {
  float sum[kMany];
  for (int64_t c = 0; c < count; ++c) sum[c] = 0;
  for (int64_t i = 0; i < window.rows; ++i) {
    const Number* pixel = window.corner + i * window.down + from;
    for (int64_t j = 0; j < window.columns; ++j, pixel += window.right) {
      for (int64_t c = 0; c < count; ++c) sum[c] += widened(pixel[c]);
    }
  }
  for (int64_t c = 0; c < count; ++c) narrow((adds ? widened(to[from + c]) : 0.0f) + sum[c] * share, to[from + c]);
}

template <typename Number>
INFOMAX_INLINE void pool(const Window<Number>& window, int64_t channels, float share, bool adds, Number* __restrict to) {
  int64_t c = 0;
  for (; c + kMany <= channels; c += kMany) pool_some(window, c, kMany, share, adds, to);
  for (; c + kSome <= channels; c += kSome) pool_some(window, c, kSome, share, adds, to);
  for (; c + kFew <= channels; c += kFew) pool_some(window, c, kFew, share, adds, to);
  if (c < channels) pool_some(window, c, channels - c, share, adds, to);
}

// Adds the means of a row of windows.
template <typename Number>
INFOMAX_INLINE void add_windows(const Shape& shape, const Number* x, Number* __restrict y) {
  const int64_t right = shape.channels;
  for (int64_t column = 0; column < shape.to_across; ++column) {
    const Window<Number> window{x + column * shape.stride * right, shape.width, shape.width, shape.across * right, right};
    pool(window, shape.channels, shape.share(), true, y + column * shape.to_channels);
  }
}

// The gradient of a row of an image, from that of the sum: `dy` is the image's.
template <typename Number>
INFOMAX_INLINE void spread_pixels(const Shape& shape, int64_t row, const Number* dy, Number* __restrict dx) {
  const int64_t right = shape.to_channels, down = shape.to_across * right;
  const int64_t top = shape.first(row), rows = shape.end(row, shape.to_height) - top;
  for (int64_t column = 0; column < shape.across; ++column) {
    const int64_t left = shape.first(column), columns = shape.end(column, shape.to_across) - left;
    const Window<Number> window{dy + top * down + left * right, rows, columns, down, right};
    pool(window, shape.channels, shape.share(), false, dx + column * shape.channels);
  }
}

// For each processor: a template cannot be compiled for several.

INFOMAX_WIDE void add_row(const Shape& shape, const float* x, float* y) { add_windows(shape, x, y); }

INFOMAX_WIDE void add_row(const Shape& shape, const at::BFloat16* x, at::BFloat16* y) { add_windows(shape, x, y); }

INFOMAX_WIDE void spread_row(const Shape& shape, int64_t row, const float* dy, float* dx) { spread_pixels(shape, row, dy, dx); }

INFOMAX_WIDE void spread_row(const Shape& shape, int64_t row, const at::BFloat16* dy, at::BFloat16* dx) {
  spread_pixels(shape, row, dy, dx);
}

template <typename Number>
void add(const Shape& shape, const Tensor& from, const Tensor& to) {
  const Number* x = from.const_data_ptr<Number>();
  Number* y = to.mutable_data_ptr<Number>();
  at::parallel_for(0, shape.images * shape.to_height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / shape.to_height, row = i % shape.to_height;
      add_row(shape, x + (image * shape.height + row * shape.stride) * shape.across * shape.channels,
              y + i * shape.to_across * shape.to_channels);
    }
  });
}

template <typename Number>
void spread(const Shape& shape, const Tensor& from, const Tensor& to) {
  const Number* dy = from.const_data_ptr<Number>();
  Number* dx = to.mutable_data_ptr<Number>();
  at::parallel_for(0, shape.images * shape.height, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / shape.height;
      spread_row(shape, i % shape.height, dy + image * shape.to_height * shape.to_across * shape.to_channels,
                 dx + i * shape.across * shape.channels);
    }
  });
}

struct AddPooled : torch::autograd::Function<AddPooled> {
  static Tensor forward(torch::autograd::AutogradContext* context, Tensor y, const Tensor& x, int64_t width, int64_t stride) {
    const Shape shape(y, x, width, stride);
    is_plain(x) ? add<float>(shape, x, y) : add<at::BFloat16>(shape, x, y);
    context->mark_dirty({y});
    context->save_for_backward({x});  // for its shape, and its layout
    context->saved_data["width"] = width;
    context->saved_data["stride"] = stride;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto& gradient = gradients[0];
    if (!context->needs_input_grad(1)) {
      return {gradient, Tensor(), Tensor(), Tensor()};
    }
    const auto x = context->get_saved_variables()[0];
    const int64_t width = context->saved_data["width"].toInt(), stride = context->saved_data["stride"].toInt();
    if (at::GradMode::is_enabled() || !is_plain(gradient, x.scalar_type())) {  // a derivative that has one itself
      const auto own = gradient.narrow(1, 0, x.size(1));
      const auto dx = at::avg_pool2d_backward(own, x, {width, width}, {stride, stride}, {0, 0}, false, true, std::nullopt);
      return {gradient, dx, Tensor(), Tensor()};
    }
    const auto dy = gradient.contiguous(at::MemoryFormat::ChannelsLast);
    auto dx = at::empty_like(x);
    const Shape shape(dy, x, width, stride);
    is_plain(x) ? spread<float>(shape, dy, dx) : spread<at::BFloat16>(shape, dy, dx);
    return {gradient, dx, Tensor(), Tensor()};
  }
};

Tensor add_average_pooled(Tensor y, const Tensor& x, int64_t width, int64_t stride) {
  TORCH_CHECK(x.dim() == 4 && y.dim() == 4 && x.size(0) == y.size(0), "pools maps of N × C × H × W onto as many, got ", x.sizes(),
              " and ", y.sizes());
  TORCH_CHECK(width > 0 && stride > 0 && x.size(2) >= width && x.size(3) >= width, "windows of ", width, " pixels, ", stride,
              " apart, don't fit maps of ", x.sizes());
  const auto pooled = [&](int64_t side) { return (side - width) / stride + 1; };
  TORCH_CHECK(y.size(2) == pooled(x.size(2)) && y.size(3) == pooled(x.size(3)) && y.size(1) >= x.size(1), "windows of ", width,
              " pixels, ", stride, " apart, of maps of ", x.sizes(), " can't be added to ", y.sizes());
  const bool is_itself = width == 1 && stride == 1, is_whole = width == x.size(2) && width == x.size(3);
  const auto kind = x.scalar_type();
  if (!is_itself && !is_whole && is_fused() && is_f32_or_bf16(x) && is_plain_last(x, kind) && is_plain_last(y, kind)) {
    return AddPooled::apply(y, x, width, stride);
  }
  const auto shortcut = is_itself  ? x
                        : is_whole ? x.mean(at::IntArrayRef({2, 3}), /*keepdim=*/true)
                                   : at::avg_pool2d(x, {width, width}, {stride, stride});
  const int64_t missing = y.size(1) - x.size(1);
  return y.add_(missing == 0 ? shortcut : at::constant_pad_nd(shortcut, {0, 0, 0, 0, 0, missing}, 0));
}

}  // namespace pooled

TORCH_LIBRARY_FRAGMENT(infomax, library) {
  library.def("add_average_pooled_(Tensor(a!) y, Tensor x, int width, int stride) -> Tensor(a!)",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(pooled::add_average_pooled)));
}
