// What tch 0.24 lacks, as a plain C interface. Every function returns null, or a message that the caller frees with
// infomax_free. Tensors are borrowed at::Tensor pointers. Called by host/src/native.rs alone.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cstring>
#include <exception>
#include <vector>

namespace {

std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; ++i) result.push_back(*tensors[i]);
  return result;
}

template <typename Call>
char* guarded(Call call) {
  try {
    call();
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception that is not a std::exception");
  }
}

}  // namespace

extern "C" {

void infomax_free(char* message) { free(message); }

// Backward from several tensors at once, each with its gradient.
char* infomax_backward(at::Tensor* const* tensors, at::Tensor* const* gradients, size_t count) {
  return guarded([&] { torch::autograd::backward(list(tensors, count), list(gradients, count)); });
}

// Adam over all parameters in one call (Kingma and Ba 2015; weight decay is added to the gradient). `steps` are f32
// scalars, one a parameter, raised by one.
char* infomax_adam(at::Tensor* const* parameters, at::Tensor* const* gradients, at::Tensor* const* means,
                   at::Tensor* const* squares, at::Tensor* const* steps, size_t count, double lr, double beta1,
                   double beta2, double weight_decay, double eps) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto parameter_list = list(parameters, count), gradient_list = list(gradients, count);
    auto mean_list = list(means, count), square_list = list(squares, count), step_list = list(steps, count);
    at::_foreach_add_(step_list, 1);
    at::_fused_adam_(parameter_list, gradient_list, mean_list, square_list, {}, step_list, lr, beta1, beta2,
                     weight_decay, eps, false, false);
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

// The 2-norm of all tensors together; synchronises with the device.
char* infomax_norm(at::Tensor* const* tensors, size_t count, double* norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto norms = at::_foreach_norm(list(tensors, count));
    *norm = norms.empty() ? 0.0 : at::stack(norms).to(at::kDouble).norm().item<double>();
  });
}

int infomax_grad_mode(void) { return c10::GradMode::is_enabled(); }

void infomax_set_grad_mode(int enabled) { c10::GradMode::set_enabled(enabled != 0); }

int infomax_threads(void) { return at::get_num_threads(); }

void infomax_set_threads(int count) { at::set_num_threads(count); }

}  // extern "C"
