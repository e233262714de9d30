// BatchNorm of each view, or each part of it, by its own statistics, with the shortcut, the ReLU and the convolution that follow, as one
// step: on a CPU, of f32 maps that lie channels-last. The activated map that the convolution reads is made again for the backward pass
// instead of kept.

#include "norm_kernels.h"
#include "plain.h"

#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>
#include <optional>

namespace {

// Statistics of groups of rows, which views are or parts of them, and the numbers that they make of weight and bias, V × C each.
struct Statistics {
  Tensor mean_vc, inverse_vc, factor_vc, bias_c;

  int64_t groups() const { return mean_vc.size(0); }

  norm::Affine of(int64_t group) const {
    const int64_t at = group * mean_vc.size(1);
    return {mean_vc.const_data_ptr<float>() + at, factor_vc.const_data_ptr<float>() + at, bias_c.const_data_ptr<float>()};
  }
};

struct Layout {
  int64_t groups, rows, channels;

  Layout(const Tensor& x, int64_t groups)
      : groups(groups), rows(x.numel() / x.size(1) / groups), channels(x.size(1)) {}

  int64_t at(int64_t group) const { return group * rows * channels; }

  // Calls `each(group, where its first number lies, rows)` for the chunks of all groups, on all threads.
  template <typename Each>
  void chunks(Each each) const {
    const norm::Parts parts(rows, channels);
    at::parallel_for(0, groups * parts.count(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t group = i / parts.count();
        parts.chunks(i % parts.count(), [&](int64_t row, int64_t count) { each(group, at(group) + row * channels, count); });
      }
    });
  }
};

// Statistics of each of `views` · `parts` groups of rows. Running ones move in the order of the views, by the mean over a view's parts.
Statistics measured(const Tensor& x, const Tensor& weight, const Tensor& bias, const OptionalTensor& running_mean,
                    const OptionalTensor& running_var, int64_t views, int64_t parts, double momentum, double eps) {
  const Layout layout(x, views * parts);
  const int64_t channels = layout.channels;
  const auto vector = [&] { return at::empty({layout.groups, channels}, weight.options()); };
  Statistics statistics{vector(), vector(), vector(), bias};
  std::vector<double> mean(channels), squares(channels), means(channels), variances(channels);
  const float* scale = weight.const_data_ptr<float>();
  const double count = static_cast<double>(layout.rows), share = 1.0 / static_cast<double>(parts);
  for (int64_t group = 0; group < layout.groups; ++group) {
    norm::moments(x.const_data_ptr<float>() + layout.at(group), layout.rows, channels, mean.data(), squares.data());
    const int64_t at = group * channels;
    if (group % parts == 0) {
      std::fill(means.begin(), means.end(), 0.0);
      std::fill(variances.begin(), variances.end(), 0.0);
    }
    float* own_mean = statistics.mean_vc.mutable_data_ptr<float>() + at;
    float* own_inverse = statistics.inverse_vc.mutable_data_ptr<float>() + at;
    float* own_factor = statistics.factor_vc.mutable_data_ptr<float>() + at;
    for (int64_t c = 0; c < channels; ++c) {
      const double inverse = 1.0 / std::sqrt(squares[c] / count + eps);
      own_mean[c] = static_cast<float>(mean[c]);
      own_inverse[c] = static_cast<float>(inverse);
      own_factor[c] = static_cast<float>(inverse * scale[c]);
      means[c] += share * mean[c];
      variances[c] += share * squares[c] / (count - 1);
    }
    if (running_mean && (group + 1) % parts == 0) {
      float *mean_c = running_mean->mutable_data_ptr<float>(), *var_c = running_var->mutable_data_ptr<float>();
      for (int64_t c = 0; c < channels; ++c) {
        mean_c[c] = static_cast<float>(momentum * means[c] + (1 - momentum) * mean_c[c]);
        var_c[c] = static_cast<float>(momentum * variances[c] + (1 - momentum) * var_c[c]);
      }
    }
  }
  if (running_mean) {
    running_mean->unsafeGetTensorImpl()->bump_version();
    running_var->unsafeGetTensorImpl()->bump_version();
  }
  return statistics;
}

Tensor normalised(const Tensor& x, const OptionalTensor& shortcut, const Statistics& statistics, bool relu) {
  const Layout layout(x, statistics.groups());
  auto y = at::empty_like(x);
  layout.chunks([&](int64_t group, int64_t at, int64_t rows) {
    norm::write_normalised(x.const_data_ptr<float>() + at, shortcut ? shortcut->const_data_ptr<float>() + at : nullptr,
                           y.mutable_data_ptr<float>() + at, rows, layout.channels, statistics.of(group), relu);
  });
  return y;
}

struct Gradients {
  Tensor x, weight, bias, shortcut;
};

// Of a normalisation whose output `y` is needed with a shortcut only.
Gradients backward_of(norm::Gate gate, const Tensor& gradient, const Tensor& x, const Tensor& y, const Statistics& statistics) {
  const Layout layout(x, statistics.groups());
  const int64_t channels = layout.channels;
  const auto dy = gradient.contiguous(at::MemoryFormat::ChannelsLast);
  const bool has_shortcut = gate == norm::Gate::kShortcut;
  Gradients result{at::empty_like(x), at::empty({channels}, statistics.mean_vc.options()),
                   at::empty({channels}, statistics.mean_vc.options()), has_shortcut ? at::empty_like(x) : Tensor()};
  std::vector<double> sum(channels), product(channels), weights(channels, 0.0), biases(channels, 0.0);
  std::vector<float> mean_gradient(layout.groups * channels), slope(layout.groups * channels);
  const float* inverse_vc = statistics.inverse_vc.const_data_ptr<float>();
  const double count = static_cast<double>(layout.rows);
  for (int64_t group = 0; group < layout.groups; ++group) {
    const int64_t at = layout.at(group);
    norm::sums(gate, dy.const_data_ptr<float>() + at, x.const_data_ptr<float>() + at,
               has_shortcut ? y.const_data_ptr<float>() + at : nullptr,
               has_shortcut ? result.shortcut.mutable_data_ptr<float>() + at : nullptr, layout.rows, channels,
               statistics.of(group), sum.data(), product.data());
    for (int64_t c = 0; c < channels; ++c) {
      const double inverse = inverse_vc[group * channels + c];
      mean_gradient[group * channels + c] = static_cast<float>(sum[c] / count);
      slope[group * channels + c] = static_cast<float>(product[c] / count * inverse * inverse);
      weights[c] += product[c] * inverse;
      biases[c] += sum[c];
    }
  }
  float *weight_c = result.weight.mutable_data_ptr<float>(), *bias_c = result.bias.mutable_data_ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    weight_c[c] = static_cast<float>(weights[c]);
    bias_c[c] = static_cast<float>(biases[c]);
  }
  const auto& passed = has_shortcut ? result.shortcut : dy;
  layout.chunks([&](int64_t group, int64_t at, int64_t rows) {
    norm::write_gradient(gate == norm::Gate::kOwn, passed.const_data_ptr<float>() + at, x.const_data_ptr<float>() + at,
                         result.x.mutable_data_ptr<float>() + at, rows, channels, statistics.of(group),
                         &mean_gradient[group * channels], &slope[group * channels]);
  });
  return result;
}

// The passes know no derivatives of their own.
void refuse_second_derivatives() {
  TORCH_CHECK(!at::GradMode::is_enabled(),
              "BatchNorm with what follows it can't be differentiated twice on a CPU: set INFOMAX_FUSED=0 for layers that can");
}

// Statistics as saved_variables hold them.
void save(torch::autograd::AutogradContext* context, const Tensor& x, const Statistics& statistics, const Tensor& other) {
  context->save_for_backward(
      {x, statistics.mean_vc, statistics.inverse_vc, statistics.factor_vc, statistics.bias_c, other});
}

Statistics saved_statistics(const torch::autograd::variable_list& saved) { return {saved[1], saved[2], saved[3], saved[4]}; }

struct NormRelu : torch::autograd::Function<NormRelu> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const OptionalTensor& shortcut,
                        const Tensor& weight, const Tensor& bias, const OptionalTensor& running_mean,
                        const OptionalTensor& running_var, int64_t views, int64_t parts, double momentum, double eps,
                        bool relu) {
    const auto statistics = measured(x, weight, bias, running_mean, running_var, views, parts, momentum, eps);
    const auto y = normalised(x, shortcut, statistics, relu);
    save(context, x, statistics, shortcut ? y : Tensor());
    context->saved_data["relu"] = relu;
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    const auto gate = saved[5].defined()                     ? norm::Gate::kShortcut
                      : context->saved_data["relu"].toBool() ? norm::Gate::kOwn
                                                             : norm::Gate::kNone;
    const auto own = backward_of(gate, gradients[0], saved[0], saved[5], saved_statistics(saved));
    return {own.x,    own.shortcut, own.weight, own.bias, Tensor(), Tensor(),
            Tensor(), Tensor(),     Tensor(),   Tensor(), Tensor()};
  }
};

struct NormReluConvolution : torch::autograd::Function<NormReluConvolution> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const OptionalTensor& running_mean, const OptionalTensor& running_var, int64_t views, int64_t parts,
                        double momentum, double eps, const Tensor& kernel, int64_t stride, int64_t padding) {
    const auto statistics = measured(x, weight, bias, running_mean, running_var, views, parts, momentum, eps);
    save(context, x, statistics, kernel);
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    context->saved_data["kernel"] = kernel.requires_grad();
    return at::conv2d(normalised(x, std::nullopt, statistics, true), kernel, std::nullopt, stride, padding);
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    refuse_second_derivatives();
    const auto saved = context->get_saved_variables();
    const auto statistics = saved_statistics(saved);
    const auto &x = saved[0], &kernel = saved[5];
    const int64_t stride = context->saved_data["stride"].toInt(), padding = context->saved_data["padding"].toInt();
    Tensor dy, to_kernel;
    {
      const auto y = normalised(x, std::nullopt, statistics, true);
      std::tie(dy, to_kernel, std::ignore) =
          at::convolution_backward(gradients[0], y, kernel, std::nullopt, {stride, stride}, {padding, padding}, {1, 1}, false,
                                   {0, 0}, 1, {true, context->saved_data["kernel"].toBool(), false});
    }
    const auto own = backward_of(norm::Gate::kOwn, dy, x, Tensor(), statistics);
    return {own.x,    own.weight, own.bias, Tensor(),  Tensor(), Tensor(),
            Tensor(), Tensor(),   Tensor(), to_kernel, Tensor(), Tensor()};
  }
};

bool is_vector(const OptionalTensor& tensor, int64_t channels) {
  return tensor && is_plain(*tensor) && tensor->dim() == 1 && tensor->size(0) == channels && tensor->is_contiguous();
}

// Whether the kernels take these.
bool fits(const Tensor& x, const OptionalTensor& shortcut, const OptionalTensor& weight, const OptionalTensor& bias,
          const OptionalTensor& mean, const OptionalTensor& var, int64_t views) {
  if (!is_fused() || policy.group || !is_plain_last(x) || at::autocast::is_autocast_enabled(at::kCPU)) {
    return false;
  }
  const int64_t channels = x.size(1);
  if (shortcut && !(shortcut->sizes() == x.sizes() && is_plain_last(*shortcut))) {
    return false;
  }
  const bool runs = mean || var;
  const int64_t groups = views * policy.parts;
  return views > 0 && x.size(0) % groups == 0 && x.numel() / channels / groups > 1 && is_vector(weight, channels) &&
         is_vector(bias, channels) && (!runs || (is_vector(mean, channels) && is_vector(var, channels)));
}

}  // namespace
