// Convolutions on a CPU that oneDNN's kernels are not the best for, of maps that lie channels-last. One whose window covers the whole
// map is a product, which takes a half to a tenth of the time, and so is one by 1×1, where a product is faster; those in f32 that
// winograd.cpp has; and the gradients of weights that weight_gradients.cpp has.
// After products.cpp, winograd.cpp and weight_gradients.cpp.

#include "plain.h"

#include <ATen/ATen.h>
#include <ATen/CompositeExplicitAutogradFunctions.h>
#include <torch/library.h>

#include <array>
#include <atomic>
#include <optional>
#include <tuple>

namespace {

std::atomic<gradients::Use> own{gradients::Use::kNever};

// Of f32, or of bf16 where the processor multiplies that.
bool is_multiplied(const Tensor& input) {
  return is_plain(input) ||
         (is_plain(input, at::kBFloat16) && gradients::are_used(at::kBFloat16, own.load(std::memory_order_relaxed)));
}

// Whether a convolution without padding may be one product, by how its numbers lie.
bool lies_for_product(const Tensor& input, const Tensor& weight, at::IntArrayRef padding, bool transposed, int64_t groups) {
  const auto kind = input.scalar_type();
  return !transposed && groups == 1 && is_multiplied(input) && is_plain_last(input, kind) && is_plain_last(weight, kind) &&
         input.size(1) == weight.size(1) && are_all(padding, 0);
}

// Whether a convolution is one product: of N × (H × W × C) with O × (H × W × C).
bool is_product(const Tensor& input, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                bool transposed, int64_t groups) {
  return lies_for_product(input, weight, padding, transposed, groups) && input.sizes().slice(1) == weight.sizes().slice(1) &&
         are_all(dilation, 1);
}

std::atomic<bool> by_fewer{false};

WinogradPlan by_winograd(const Tensor& input, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding,
                         at::IntArrayRef dilation, bool transposed, int64_t groups) {
  const bool on = by_fewer.load(std::memory_order_relaxed);
  return on ? winograd_plan(input, weight, stride, padding, dilation, transposed, groups) : WinogradPlan{};
}

// No bias, or a number for each output.
bool is_bias(const std::optional<Tensor>& bias, const Tensor& weight) {
  return !bias || !bias->defined() || (is_plain(*bias, weight.scalar_type()) && bias->dim() == 1 && bias->size(0) == weight.size(0));
}

// What of a convolution by 1×1 with stride 1, which multiplies each pixel's channels, is faster as one product than oneDNN's kernels:
// output, gradient of data, gradient of weight. Measured on two cores with AVX-512, and its bf16: those have some 200 and 400 GFLOP/s
// where maps are large, and 130 and 260 where they are of 3×3 or there are few images.
struct Pointwise {
  bool output = false, input = false, weight = false;
};

Pointwise pointwise(const Tensor& input, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding, bool transposed,
                    int64_t groups) {
  constexpr int64_t kLeast = 64, kFew = 1200, kSome = 4096, kMany = 20000;
  if (!lies_for_product(input, weight, padding, transposed, groups) || weight.size(2) != 1 || weight.size(3) != 1 || !are_all(stride, 1)) {
    return {};
  }
  const int64_t in = weight.size(1), out = weight.size(0), rows = input.size(0) * input.size(2) * input.size(3);
  if (std::min({in, out, rows}) < kLeast) {
    return {};
  }
  if (is_plain(input)) {
    const bool by_onednn = products_are_by_onednn(), few = by_onednn && rows <= std::min(kSome, in * out / 12);
    return {few, by_onednn && rows <= kMany, few};
  }
  return {rows <= kFew, rows <= kFew || out >= 512, false};
}

// Each pixel's channels.
Tensor pixels_of(const Tensor& maps) { return maps.permute({0, 2, 3, 1}).reshape({-1, maps.size(1)}); }

// The other way, of rows of pixels or of whole maps.
Tensor maps_of(const Tensor& rows, const Tensor& like) {
  return rows.view({like.size(0), like.size(2), like.size(3), -1}).permute({0, 3, 1, 2});
}

Tensor rows_of(const Tensor& maps) { return maps.permute({0, 2, 3, 1}).reshape({maps.size(0), -1}); }

Tensor convolution(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, at::IntArrayRef stride,
                   at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding,
                   int64_t groups) {
  const auto plan = by_winograd(input, weight, stride, padding, dilation, transposed, groups);
  if (plan.output && is_bias(bias, weight)) {
    return winograd_forward(plan, input, weight, bias, padding[0]);
  }
  if (!(bias && bias->defined()) && pointwise(input, weight, stride, padding, transposed, groups).output) {
    return maps_of(product_of(pixels_of(input), weight.flatten(1).t()), input);
  }
  if (!is_bias(bias, weight) || !is_product(input, weight, stride, padding, dilation, transposed, groups)) {
    return at::compositeexplicitautograd::convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding,
                                                      groups);
  }
  const auto one = rows_of(input), two = rows_of(weight).t();
  const auto result = bias && bias->defined() ? product_with(*bias, one, two, 1, 1) : product_of(one, two);
  return result.view({input.size(0), weight.size(0), 1, 1});
}

// Of a convolution that is one product.
std::tuple<Tensor, Tensor, Tensor> product_backward(const Tensor& gradient, const Tensor& input, const Tensor& weight,
                                                    std::array<bool, 3> mask) {
  const auto rows = gradient.reshape({input.size(0), weight.size(0)});
  return {mask[0] ? maps_of(product_of(rows, rows_of(weight)), input) : Tensor(),
          mask[1] ? maps_of(product_of(rows.t(), rows_of(input)), weight) : Tensor(), mask[2] ? rows.sum(0) : Tensor()};
}

// Whether a gradient is one of a convolution that keeps the sides of maps.
bool fits_pixels(const Tensor& gradient, const Tensor& input, const Tensor& weight) {
  return is_plain(gradient, input.scalar_type()) && gradient.dim() == 4 && gradient.size(0) == input.size(0) &&
         gradient.size(1) == weight.size(0) && gradient.sizes().slice(2) == input.sizes().slice(2);
}

// Each gradient by the first that has it: Winograd's products, one product, the host's own kernels, oneDNN.
std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& gradient, const Tensor& input, const Tensor& weight,
                                                        at::OptionalIntArrayRef bias_sizes, at::IntArrayRef stride,
                                                        at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                                                        at::IntArrayRef output_padding, int64_t groups,
                                                        std::array<bool, 3> mask) {
  const auto plan = by_winograd(input, weight, stride, padding, dilation, transposed, groups);
  const bool of_input = mask[0] && plan.input, of_weight = mask[1] && plan.weight;
  Tensor to_input, to_weight, to_bias;
  if ((of_input || of_weight) && winograd_fits_output(gradient, input, weight, padding[0])) {
    std::tie(to_input, to_weight) = winograd_backward(plan, gradient, input, weight, padding[0], of_input, of_weight);
  } else if (is_product(input, weight, stride, padding, dilation, transposed, groups) && is_plain(gradient, input.scalar_type())) {
    return product_backward(gradient, input, weight, mask);
  } else if (fits_pixels(gradient, input, weight)) {
    const auto by_product = pointwise(input, weight, stride, padding, transposed, groups);
    if ((mask[0] && by_product.input) || (mask[1] && by_product.weight)) {
      const auto pixels = pixels_of(gradient.contiguous(at::MemoryFormat::ChannelsLast));
      to_input = mask[0] && by_product.input ? maps_of(product_of(pixels, weight.flatten(1)), input) : Tensor();
      to_weight = mask[1] && by_product.weight ? product_of(pixels.t(), pixels_of(input)).view(weight.sizes()) : Tensor();
    }
  }
  if (mask[1] && !to_weight.defined()) {
    const auto use = own.load(std::memory_order_relaxed);
    to_weight = own_weight_gradient(use, gradient, input, weight, stride, padding, dilation, transposed, groups);
  }
  const bool is_begun = to_input.defined() || to_weight.defined();
  const std::array<bool, 3> left = {mask[0] && !to_input.defined(), mask[1] && !to_weight.defined(), mask[2] && !is_begun};
  if (mask[2] && is_begun) {
    to_bias = gradient.sum({0, 2, 3});
  }
  if (left[0] || left[1] || left[2]) {
    const auto rest = at::compositeexplicitautograd::convolution_backward(
        gradient, input, weight, bias_sizes, stride, padding, dilation, transposed, output_padding, groups, left);
    to_input = left[0] ? std::get<0>(rest) : to_input;
    to_weight = left[1] ? std::get<1>(rest) : to_weight;
    to_bias = left[2] ? std::get<2>(rest) : to_bias;
  }
  return {to_input, to_weight, to_bias};
}

void install_convolutions() {
  static const auto library = replace_kernels([](torch::Library& library) {
    library.impl("convolution", TORCH_FN(convolution));
    library.impl("convolution_backward", TORCH_FN(convolution_backward));
  });
}

// Whether the transforms have vectors that are wide enough.
bool is_wide() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
  return false;
#endif
}

}  // namespace

extern "C" {

// By fewer multiplications where those pay, from now on, in all threads; or directly.
void infomax_convolutions_by_fewer(int on) {
  install_convolutions();
  by_fewer = on != 0 && is_wide();
}

// Gradients of weights by the host's own kernels from now on, in all threads: 0 never, 1 where they pay, 2 wherever the processor can.
void infomax_own_gradients(int use) {
  install_convolutions();
  own = static_cast<gradients::Use>(std::clamp(use, 0, 2));
}

// Whether they are taken for bf16, or for f32.
int infomax_gradients_are_own(int bf16) { return gradients::are_used(bf16 != 0 ? at::kBFloat16 : at::kFloat, own); }

}  // extern "C"
