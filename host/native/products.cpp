// Matrix products of f32 numbers on a CPU by oneDNN instead of MKL, which takes its plain path on processors that Intel did not
// make: 210 GFLOP/s where oneDNN makes 490 (two cores with AVX-512).

#include "plain.h"

#include <ATen/ATen.h>
#include <ATen/CPUFunctions.h>
#include <torch/library.h>

#include <atomic>
#include <cstring>
#include <memory>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace at::native {
// libtorch has it for bf16 and f16, and takes f32 where the processor has AVX-512. Its header is not among those installed.
TORCH_API void mkldnn_matmul(const Tensor& one, const Tensor& two, const Tensor& result, float beta, float alpha);
}  // namespace at::native

namespace {

using at::Tensor;

// By oneDNN, not by MKL.
std::atomic<bool> wanted{false};

bool products_are_by_onednn() { return wanted.load(std::memory_order_relaxed); }

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

// Whether oneDNN leaves a product to one thread, and half of MKL's rate: of a few rows with another matrix's rows. (`gemm:jit`, which
// also moves the stack pointer: see host/src/train/signals.rs.)
bool is_by_one_thread(const Tensor& one, const Tensor& two) {
  constexpr int64_t kFewRows = 64, kLongSums = 1024;
  return one.dim() == 2 && one.size(0) <= kFewRows && one.size(1) <= kLongSums && one.is_contiguous() && !two.is_contiguous();
}

bool by_onednn(const Tensor& one, const Tensor& two, int64_t dims) {
  if (!products_are_by_onednn() || one.dim() != dims || two.dim() != dims || !is_plain(one) || !is_plain(two)) {
    return false;
  }
  const int64_t inner = one.size(dims - 1);
  const bool fits = inner == two.size(dims - 2) && (dims == 2 || one.size(0) == two.size(0));
  return fits && one.numel() * two.size(dims - 1) >= kSmall && lies_well(one) && lies_well(two) && !is_by_one_thread(one, two);
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

// Into `result`, of 3 dimensions, all of them plain: one · two, and with `add` what stands there already.
void multiply_all(const Tensor& one, const Tensor& two, Tensor& result, bool add) {
  if (products_are_by_onednn()) {
    at::native::mkldnn_matmul(one, two, result, add ? 1.0f : 0.0f, 1);
  } else if (add) {
    at::cpu::baddbmm_(result, one, two, 1, 1);
  } else {
    at::cpu::bmm_out(result, one, two);
  }
}

// Says nothing of the kernels that are replaced, which is what libtorch warns of.
struct Silent final : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

// Puts kernels into the place of libtorch's on CPUs, for as long as the process lives.
template <typename Register>
std::unique_ptr<torch::Library> replace_kernels(Register each) {
  Silent silent;
  c10::WarningUtils::WarningHandlerGuard guard(&silent);
  auto library = std::make_unique<torch::Library>(torch::Library::IMPL, "aten", c10::DispatchKey::CPU, __FILE__, __LINE__);
  each(*library);
  return library;
}

void install_products() {
  static const auto library = replace_kernels([](torch::Library& library) {
    library.impl("mm", TORCH_FN(product_of));
    library.impl("bmm", TORCH_FN(products_of));
    library.impl("addmm", TORCH_FN(product_with));
  });
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
  install_products();
  wanted = on != 0;
}

}  // extern "C"
