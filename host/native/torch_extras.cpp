// What tch 0.24 lacks, as a plain C interface. Every function returns null, or a message that the caller frees with
// infomax_free. Tensors are borrowed at::Tensor pointers. Called by host/src/native.rs alone.

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>

namespace {

struct Warnings : c10::WarningHandler {
  void (*tell)(const char*) = nullptr;
  void process(const c10::Warning& warning) override { tell(warning.msg().c_str()); }
};

std::optional<at::Tensor> given(at::Tensor* tensor) { return tensor ? std::optional(*tensor) : std::nullopt; }

}  // namespace

extern "C" {

// Sends what libtorch warns of in this thread to a function.
void infomax_warn_to(void (*tell)(const char*)) {
  static Warnings* warnings = new Warnings;  // libtorch keeps the pointer
  warnings->tell = tell;
  c10::WarningUtils::set_warning_handler(warnings);
}

// How often a tensor has been changed in place; -1 for one that does not count.
int64_t infomax_version(at::Tensor* tensor) {
  if (!tensor->defined() || tensor->is_inference()) return -1;
  return tensor->unsafeGetTensorImpl()->version_counter().current_version();
}

void infomax_free(char* message) { free(message); }

// Backward from several tensors at once, each with its gradient.
char* infomax_backward(at::Tensor* const* tensors, at::Tensor* const* gradients, size_t count) {
  return guarded([&] { torch::autograd::backward(list(tensors, count), list(gradients, count)); });
}

// Adam over all parameters in one call (Kingma and Ba 2015). `steps` are f32 scalars, one a parameter, raised by one.
// Weight decay is added to the gradient, or, decoupled, taken off the parameter (Loshchilov and Hutter 2019). `withheld`,
// here and below: null, or an f32 scalar on the device; where it is 1 nothing changes, and nobody waits to know.
char* infomax_adam(at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* means,
                   at::Tensor* const* squares, at::Tensor* const* steps, size_t count, double lr, double beta1,
                   double beta2, double weight_decay, double eps, int decoupled, at::Tensor* withheld) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto parameter_list = list(parameters, count), gradient_list = list(gradients, count);
    auto mean_list = list(means, count), square_list = list(squares, count), step_list = list(steps, count);
    if (withheld) {
      at::_foreach_add_(step_list, at::rsub(*withheld, 1));
    } else {
      at::_foreach_add_(step_list, 1);
    }
    if (decoupled) {
      at::_fused_adamw_(parameter_list, gradient_list, mean_list, square_list, {}, step_list, lr, beta1, beta2,
                        weight_decay, eps, false, false, {}, given(withheld));
    } else {
      at::_fused_adam_(parameter_list, gradient_list, mean_list, square_list, {}, step_list, lr, beta1, beta2,
                       weight_decay, eps, false, false, {}, given(withheld));
    }
  });
}

// Stochastic gradient descent with momentum over all parameters in one call, as PyTorch's SGD; weight decay is added to
// the gradient. `momenta` begin at zero, and are not read where `momentum` is.
char* infomax_sgd(at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* momenta, size_t count,
                  double lr, double momentum, double weight_decay, int nesterov, at::Tensor* withheld) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto parameter_list = list(parameters, count), gradient_list = list(gradients, count);
    auto momentum_list = list(momenta, momentum == 0 ? 0 : count);
    at::_fused_sgd_(parameter_list, gradient_list, momentum_list, weight_decay, momentum, lr, 0.0, nesterov != 0, false,
                    false, {}, given(withheld));
  });
}

// The layer-wise factors of LARS (You, Gitman, Ginsburg 2017), then momentum: the decayed gradient of each parameter is
// scaled by trust * |w| / (|g| + decay * |w|), at most lr where `clip` asks for it, and by 1 where a norm is zero.
char* infomax_lars(at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* momenta, size_t count,
                   double lr, double momentum, double weight_decay, double trust, int clip, at::Tensor* withheld) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto parameter_list = list(parameters, count), gradient_list = list(gradients, count);
    auto momentum_list = list(momenta, momentum == 0 ? 0 : count);
    auto both = parameter_list;
    both.insert(both.end(), gradient_list.begin(), gradient_list.end());
    const auto norms = at::stack(at::_foreach_norm(both));
    const auto length = static_cast<int64_t>(count);
    const auto weights = norms.narrow(0, 0, length), slopes = norms.narrow(0, length, length);
    auto factors = trust * weights / (slopes + weight_decay * weights + 1e-8);  // solo-learn's eps
    if (clip) factors = (factors / lr).clamp_max(1.0);
    factors = factors.masked_fill(at::minimum(weights, slopes).le(0), 1.0);
    auto decayed = at::_foreach_add(gradient_list, parameter_list, weight_decay);
    auto factor_list = factors.unbind();
    at::_foreach_mul_(decayed, factor_list);
    at::_fused_sgd_(parameter_list, decayed, momentum_list, 0.0, momentum, lr, 0.0, false, false, false, {},
                    given(withheld));
  });
}

// Moves slow copies towards tensors: slow = keep * slow + (1 - keep) * fast.
char* infomax_average(at::Tensor* const* slow, at::Tensor* const* fast, size_t count, double keep, at::Tensor* withheld) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto slow_list = list(slow, count), fast_list = list(fast, count);
    if (!withheld) {
      for (size_t i = 0; i < count; ++i) slow_list[i].mul_(keep).add_(fast_list[i].mul(1.0 - keep));
      return;
    }
    const auto kept = at::full({}, keep, withheld->options());
    const auto taken = at::full({}, 1.0 - keep, withheld->options());
    const auto is_withheld = withheld->gt(0);
    auto parts = at::_foreach_mul(fast_list, taken.masked_fill(is_withheld, 0.0));
    at::_foreach_mul_(slow_list, kept.masked_fill(is_withheld, 1.0));
    at::_foreach_add_(slow_list, parts);
  });
}

// Copies tensors into others of the same shapes.
char* infomax_copy(at::Tensor* const* to, at::Tensor* const* from, size_t count) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto to_list = list(to, count);
    at::_foreach_copy_(to_list, list(from, count));
  });
}

// Puts back what tensors were, where `withheld` is 1.
char* infomax_restore(at::Tensor* const* tensors, at::Tensor* const* before, size_t count, at::Tensor* withheld) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto is_withheld = withheld->gt(0);
    for (size_t i = 0; i < count; ++i) tensors[i]->copy_(at::where(is_withheld, *before[i], *tensors[i]));
  });
}

// Leaves no gradient behind: an undefined one, so that a parameter without a gradient is told from one with zeros.
char* infomax_clear_gradients(at::Tensor* const* tensors, size_t count) {
  return guarded([&] {
    for (size_t i = 0; i < count; ++i) tensors[i]->mutable_grad().reset();
  });
}

// Puts a gradient in place, as if a backward pass had left it.
char* infomax_set_gradient(at::Tensor* tensor, at::Tensor* gradient) {
  return guarded([&] { tensor->mutable_grad() = *gradient; });
}

// The 2-norm of all tensors together, an f64 scalar where they lie; an own tensor for the caller.
char* infomax_norm(at::Tensor* const* tensors, size_t count, at::Tensor** norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto norms = at::_foreach_norm(list(tensors, count));
    *norm = new at::Tensor(at::stack(norms).to(at::kDouble).norm());
  });
}

// The version that the loaded libtorch gives for itself, whatever headers this was built with.
const char* infomax_torch_version(void) {
  static const std::string version = [] {
    const std::string config = at::show_config(), key = "TORCH_VERSION=";
    const auto at = config.find(key);
    if (at == std::string::npos) return std::string("an unknown version");
    const auto begin = at + key.size();
    return config.substr(begin, config.find_first_of(", \n", begin) - begin);
  }();
  return version.c_str();
}

int infomax_grad_mode(void) { return c10::GradMode::is_enabled(); }

void infomax_set_grad_mode(int enabled) { c10::GradMode::set_enabled(enabled != 0); }

int infomax_threads(void) { return at::get_num_threads(); }

void infomax_set_threads(int count) { at::set_num_threads(count); }

}  // extern "C"
