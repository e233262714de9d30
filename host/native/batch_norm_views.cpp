// BatchNorm of views that lie one after the other, each by its own statistics, alone and with what residual networks put behind it.
// Of the host's own, for plugins too.

#include <ATen/ops/batch_norm.h>

#include <cmath>

namespace {

OptionalTensor given(const OptionalTensor& tensor) { return tensor && tensor->defined() ? tensor : std::nullopt; }

// BatchNorm of several views that lie one after the other, each by its own statistics: what one normalisation after the other
// gives, without cutting and joining. With `centred`, of N × C, the mean is taken off first, outside the gradient, which changes
// nothing but the rounding.
struct ViewsBatchNorm : torch::autograd::Function<ViewsBatchNorm> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const OptionalTensor& weight,
                        const OptionalTensor& bias, const OptionalTensor& running_mean,
                        const OptionalTensor& running_var, int64_t views, double momentum, double eps, bool centred) {
    const int64_t channels = x.size(1), rows = x.size(0) / views;
    const bool is_narrow = x.scalar_type() == at::kHalf || x.scalar_type() == at::kBFloat16;
    const auto options = x.options().dtype(is_narrow ? at::kFloat : x.scalar_type());
    auto means = at::empty({views, channels}, options), scales = at::empty({views, channels}, options);
    Tensor z = x, shifts;
    if (centred) {
      const auto by_view = x.view({views, rows, channels});
      shifts = by_view.mean(1, /*keepdim=*/true);
      z = (by_view - shifts).view(x.sizes());
    }
    auto y = at::empty_like(z);
    for (int64_t view = 0; view < views; ++view) {
      auto y_part = y.narrow(0, view * rows, rows), mean = means.select(0, view), scale = scales.select(0, view);
      at::native_batch_norm_out(y_part, mean, scale, z.narrow(0, view * rows, rows), weight, bias, running_mean,
                                running_var, true, momentum, eps);
    }
    // What the running mean lacks of each view's, which later views have weighted down.
    for (int64_t view = 0; centred && running_mean && view < views; ++view) {
      const double share = momentum * std::pow(1 - momentum, static_cast<double>(views - 1 - view));
      running_mean->add_(shifts.select(0, view).view({channels}), share);
    }
    context->save_for_backward({z, weight ? *weight : Tensor(), means, scales});
    context->saved_data["eps"] = eps;
    context->saved_data["bias"] = bias.has_value();
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &z = saved[0], &weight = saved[1], &means = saved[2], &scales = saved[3];
    const bool has_bias = context->saved_data["bias"].toBool();
    const int64_t views = means.size(0), rows = z.size(0) / views;
    // As the kernels want it: laid out as the input is.
    const auto dy = gradients[0].contiguous(z.suggest_memory_format());
    std::vector<Tensor> parts, sums;
    for (int64_t view = 0; view < views; ++view) {
      const auto part = [&](const Tensor& whole) { return whole.narrow(0, view * rows, rows); };
      auto [dx, dw, db] = at::native_batch_norm_backward(
          part(dy), part(z), weight.defined() ? OptionalTensor(weight) : std::nullopt, std::nullopt, std::nullopt,
          means.select(0, view), scales.select(0, view), true, context->saved_data["eps"].toDouble(),
          {true, weight.defined(), has_bias});
      parts.push_back(dx);
      std::vector<Tensor> own;
      if (weight.defined()) own.push_back(dw);
      if (has_bias) own.push_back(db);
      if (view == 0) {
        sums = own;
      } else if (!own.empty()) {
        at::_foreach_add_(sums, own);
      }
    }
    const auto dx = views == 1 ? parts[0] : at::cat(parts, 0);
    return {dx,       weight.defined() ? sums[0] : Tensor(), has_bias ? sums.back() : Tensor(),
            Tensor(), Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

// The same where ranks or parts of a view share statistics. The running mean is shifted alike, so that ranks know the shift.
Tensor one_view(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias, const OptionalTensor& mean,
                const OptionalTensor& var, bool keep, double momentum, double eps, bool centred) {
  if (!centred) {
    return at::batch_norm(x, weight, bias, keep ? mean : std::nullopt, keep ? var : std::nullopt, true, momentum, eps, true);
  }
  Tensor shift, moved;
  {
    at::NoGradGuard no_grad;
    shift = x.mean(0);
    moved = *mean - shift;
  }
  const auto y = at::batch_norm(x - shift, weight, bias, moved, keep ? var : OptionalTensor(var->detach().clone()), true,
                                momentum, eps, true);
  if (keep) {
    at::NoGradGuard no_grad;
    mean->copy_(moved + shift);
  }
  return y;
}

Tensor batch_norm_views(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias,
                        const OptionalTensor& running_mean, const OptionalTensor& running_var, int64_t views, bool keep,
                        double momentum, double eps, bool centred) {
  const auto mean = given(running_mean), var = given(running_var);
  TORCH_CHECK(views > 0 && x.size(0) % views == 0, "a batch of ", x.size(0), " rows can't be cut into ", views, " views");
  TORCH_CHECK(!centred || x.dim() == 2, "a centred BatchNorm takes N × C, got ", x.sizes());
  if (!centred && fits(x, std::nullopt, given(weight), given(bias), mean, var, views)) {
    return NormRelu::apply(x, std::nullopt, *weight, *bias, keep ? mean : std::nullopt, keep ? var : std::nullopt, views,
                           policy.parts, momentum, eps, false);
  }
  if (policy.group || policy.parts > 1) {
    std::vector<Tensor> parts;
    for (const auto& part : x.chunk(views, 0)) {
      parts.push_back(one_view(part, weight, bias, mean, var, keep, momentum, eps, centred));
    }
    return views == 1 ? parts[0] : at::cat(parts, 0);
  }
  return ViewsBatchNorm::apply(x, given(weight), given(bias), keep ? mean : std::nullopt, keep ? var : std::nullopt, views,
                               momentum, eps, centred);
}

// As layers that know of nothing else: of one view, libtorch's own.
Tensor one_by_one(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias, const OptionalTensor& running_mean,
                  const OptionalTensor& running_var, int64_t views, bool keep, double momentum, double eps) {
  if (views == 1) {
    return one_view(x, given(weight), given(bias), given(running_mean), given(running_var), keep, momentum, eps, false);
  }
  return batch_norm_views(x, weight, bias, running_mean, running_var, views, keep, momentum, eps, false);
}

// With a shortcut and ReLU; and with ReLU and a convolution.
Tensor batch_norm_relu(const Tensor& x, const OptionalTensor& shortcut, const OptionalTensor& weight, const OptionalTensor& bias,
                       const OptionalTensor& running_mean, const OptionalTensor& running_var, int64_t views, bool keep,
                       double momentum, double eps) {
  const auto other = given(shortcut);
  if (fits(x, other, given(weight), given(bias), given(running_mean), given(running_var), views)) {
    return NormRelu::apply(x, other, *weight, *bias, keep ? given(running_mean) : std::nullopt,
                           keep ? given(running_var) : std::nullopt, views, policy.parts, momentum, eps, true);
  }
  auto y = one_by_one(x, weight, bias, running_mean, running_var, views, keep, momentum, eps);
  return (other ? y.add_(*other) : y).relu_();
}

Tensor batch_norm_relu_conv2d(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias,
                              const OptionalTensor& running_mean, const OptionalTensor& running_var, int64_t views, bool keep,
                              double momentum, double eps, const Tensor& kernel, int64_t stride, int64_t padding) {
  if (is_plain(kernel) && fits(x, std::nullopt, given(weight), given(bias), given(running_mean), given(running_var), views)) {
    return NormReluConvolution::apply(x, *weight, *bias, keep ? given(running_mean) : std::nullopt,
                                      keep ? given(running_var) : std::nullopt, views, policy.parts, momentum, eps, kernel, stride,
                                      padding);
  }
  const auto y = one_by_one(x, weight, bias, running_mean, running_var, views, keep, momentum, eps).relu_();
  return at::conv2d(y, kernel, std::nullopt, stride, padding);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(infomax, library) {
  library.def(
      "batch_norm_views(Tensor x, Tensor? weight, Tensor? bias, Tensor(a!)? running_mean, Tensor(b!)? running_var, "
      "int views, bool keep, float momentum, float eps, bool centred) -> Tensor",
      torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(batch_norm_views)));
  library.def(
      "batch_norm_relu(Tensor x, Tensor? shortcut, Tensor? weight, Tensor? bias, Tensor(a!)? running_mean, "
      "Tensor(b!)? running_var, int views, bool keep, float momentum, float eps) -> Tensor",
      torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(batch_norm_relu)));
  library.def(
      "batch_norm_relu_conv2d(Tensor x, Tensor? weight, Tensor? bias, Tensor(a!)? running_mean, Tensor(b!)? running_var, "
      "int views, bool keep, float momentum, float eps, Tensor kernel, int stride, int padding) -> Tensor",
      torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(batch_norm_relu_conv2d)));
}
