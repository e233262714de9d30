// Matrix products of f32 numbers on a CPU by oneDNN instead of MKL, which takes its plain path on processors that Intel did not
// make: 210 GFLOP/s where oneDNN makes 490 (two cores with AVX-512). And a convolution whose window covers the whole map as the
// product that it is: oneDNN's kernels for convolutions take two to five times as long. And 3×3 convolutions by winograd.cpp.

#include "guarded.h"
#include "plain.h"

#include <ATen/ATen.h>
#include <ATen/CPUFunctions.h>
#include <ATen/CompositeExplicitAutogradFunctions.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <tuple>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace {

using at::Tensor;

std::atomic<bool> wanted{false};

// Below this many multiplications a product costs less than to ask oneDNN for it.
constexpr int64_t kSmall = 1 << 16;

// Rows one after the other, or columns: what oneDNN takes as it lies.
bool lies_well(const Tensor& matrix) {
  if (matrix.is_contiguous()) {
    return true;
  }
  const auto sizes = matrix.sizes(), strides = matrix.strides();
  if (matrix.dim() == 2) {
    return strides[0] == 1 && strides[1] == sizes[0];
  }
  return strides[0] == sizes[1] * sizes[2] && strides[1] == 1 && strides[2] == sizes[1];
}

bool by_onednn(const Tensor& one, const Tensor& two, int64_t dims) {
  if (!wanted.load(std::memory_order_relaxed) || one.dim() != dims || two.dim() != dims || !is_plain(one) || !is_plain(two)) {
    return false;
  }
  const int64_t inner = one.size(dims - 1);
  const bool fits = inner == two.size(dims - 2) && (dims == 2 || one.size(0) == two.size(0));
  return fits && one.numel() * two.size(dims - 1) >= kSmall && lies_well(one) && lies_well(two);
}

Tensor product(const Tensor& one, const Tensor& two) {
  auto result = at::empty({one.size(0), two.size(1)}, one.options());
  at::native::mkldnn_matmul(one, two, result, 0, 1);
  return result;
}

Tensor product_of(const Tensor& self, const Tensor& mat2) {
  return by_onednn(self, mat2, 2) ? product(self, mat2) : at::cpu::mm(self, mat2);
}

Tensor products_of(const Tensor& self, const Tensor& mat2) {
  if (!by_onednn(self, mat2, 3)) {
    return at::cpu::bmm(self, mat2);
  }
  auto result = at::empty({self.size(0), self.size(1), mat2.size(2)}, self.options());
  at::native::mkldnn_matmul(self, mat2, result, 0, 1);
  return result;
}

Tensor product_with(const Tensor& self, const Tensor& mat1, const Tensor& mat2, const at::Scalar& beta, const at::Scalar& alpha) {
  const bool plain = beta.toDouble() == 1 && alpha.toDouble() == 1 && is_plain(self);
  if (!plain || !by_onednn(mat1, mat2, 2)) {
    return at::cpu::addmm(self, mat1, mat2, beta, alpha);
  }
  auto result = at::empty({mat1.size(0), mat2.size(1)}, mat1.options());
  result.copy_(self.expand(result.sizes()));
  at::native::mkldnn_matmul(mat1, mat2, result, 1, 1);
  return result;
}

// Whether a convolution is one product: of N × (H × W × C) with O × (H × W × C).
bool is_product(const Tensor& input, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding, at::IntArrayRef dilation,
                bool transposed, int64_t groups) {
  constexpr auto last = at::MemoryFormat::ChannelsLast;
  const auto all = [](at::IntArrayRef numbers, int64_t number) {
    return std::all_of(numbers.begin(), numbers.end(), [=](int64_t each) { return each == number; });
  };
  return !transposed && groups == 1 && input.dim() == 4 && weight.dim() == 4 && input.sizes().slice(1) == weight.sizes().slice(1) &&
         all(padding, 0) && all(dilation, 1) && is_plain(input) && is_plain(weight) && input.is_contiguous(last) &&
         weight.is_contiguous(last) && input.numel() > 0 && weight.numel() > 0;
}

bool by_winograd(const Tensor& input, const Tensor& weight, at::IntArrayRef stride, at::IntArrayRef padding,
                 at::IntArrayRef dilation, bool transposed, int64_t groups) {
  return wanted.load(std::memory_order_relaxed) && winograd_fits(input, weight, stride, padding, dilation, transposed, groups);
}

// No bias, or a number for each output.
bool is_bias(const std::optional<Tensor>& bias, const Tensor& weight) {
  return !bias || !bias->defined() || (is_plain(*bias) && bias->dim() == 1 && bias->size(0) == weight.size(0));
}

Tensor rows_of(const Tensor& maps) { return maps.permute({0, 2, 3, 1}).reshape({maps.size(0), -1}); }

Tensor convolution(const Tensor& input, const Tensor& weight, const std::optional<Tensor>& bias, at::IntArrayRef stride,
                   at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed, at::IntArrayRef output_padding,
                   int64_t groups) {
  if (is_bias(bias, weight) && by_winograd(input, weight, stride, padding, dilation, transposed, groups)) {
    return winograd_forward(input, weight, bias);
  }
  if (!is_bias(bias, weight) || !is_product(input, weight, stride, padding, dilation, transposed, groups)) {
    return at::compositeexplicitautograd::convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding,
                                                      groups);
  }
  const auto one = rows_of(input), two = rows_of(weight).t();
  const auto result = bias && bias->defined() ? product_with(*bias, one, two, 1, 1) : product_of(one, two);
  return result.view({input.size(0), weight.size(0), 1, 1});
}

std::tuple<Tensor, Tensor, Tensor> convolution_backward(const Tensor& gradient, const Tensor& input, const Tensor& weight,
                                                        at::OptionalIntArrayRef bias_sizes, at::IntArrayRef stride,
                                                        at::IntArrayRef padding, at::IntArrayRef dilation, bool transposed,
                                                        at::IntArrayRef output_padding, int64_t groups,
                                                        std::array<bool, 3> mask) {
  const auto fits_output = [&] {
    return is_plain(gradient) && gradient.dim() == 4 && gradient.size(0) == input.size(0) && gradient.size(1) == weight.size(0) &&
           gradient.sizes().slice(2) == input.sizes().slice(2);
  };
  if (by_winograd(input, weight, stride, padding, dilation, transposed, groups) && fits_output()) {
    return winograd_backward(gradient, input, weight, mask);
  }
  if (!is_product(input, weight, stride, padding, dilation, transposed, groups) || !is_plain(gradient)) {
    return at::compositeexplicitautograd::convolution_backward(gradient, input, weight, bias_sizes, stride, padding, dilation,
                                                               transposed, output_padding, groups, mask);
  }
  const auto rows = gradient.reshape({input.size(0), weight.size(0)});
  const auto as_maps = [](const Tensor& rows, const Tensor& like) {
    return rows.view({like.size(0), like.size(2), like.size(3), like.size(1)}).permute({0, 3, 1, 2});
  };
  Tensor to_input, to_weight, to_bias;
  if (mask[0]) {
    to_input = as_maps(product_of(rows, rows_of(weight)), input);
  }
  if (mask[1]) {
    to_weight = as_maps(product_of(rows.t(), rows_of(input)), weight);
  }
  if (mask[2]) {
    to_bias = rows.sum(0);
  }
  return {to_input, to_weight, to_bias};
}

// Says nothing of the kernels that are replaced, which is what libtorch warns of.
struct Silent final : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

void install() {
  static const auto library = [] {
    Silent silent;
    c10::WarningUtils::WarningHandlerGuard guard(&silent);
    auto library = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
    library->impl("mm", TORCH_FN(product_of));
    library->impl("bmm", TORCH_FN(products_of));
    library->impl("addmm", TORCH_FN(product_with));
    library->impl("convolution", TORCH_FN(convolution));
    library->impl("convolution_backward", TORCH_FN(convolution_backward));
    return library;
  }();
}

bool is_intels() {
#if defined(__x86_64__)
  unsigned most = 0, name[3] = {};
  return __get_cpuid(0, &most, &name[0], &name[2], &name[1]) && memcmp(name, "GenuineIntel", sizeof(name)) == 0;
#else
  return false;
#endif
}

// Whether `mkldnn_matmul` takes f32: it asks for AVX-512, and for oneDNN's own limit (`ONEDNN_MAX_CPU_ISA`) to allow it.
bool is_possible() {
#if defined(__x86_64__)
  static const bool possible = [] {
    if (!__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq")) {
      return false;
    }
    try {
      at::NoGradGuard no_grad;
      const auto one = at::ones({2, 2});
      at::native::mkldnn_matmul(one, one, at::empty({2, 2}), 0, 1);
      return true;
    } catch (const c10::Error&) {
      return false;
    }
  }();
  return possible;
#else
  return false;
#endif
}

}  // namespace

extern "C" {

int infomax_products_possible() { return is_possible(); }

// Whether oneDNN is the faster library on this processor.
int infomax_products_profit() { return !is_intels() && is_possible(); }

int infomax_products_are_by_onednn() { return wanted; }

// By oneDNN from now on, in all threads; or by what libtorch takes.
void infomax_products_by_onednn(int on) {
  install();
  wanted = on != 0;
}

}  // extern "C"
