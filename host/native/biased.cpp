// A bias for each channel, and the ReLU behind it, in one pass over memory, on a CPU, of f32 or bf16 maps that lie channels-last. The
// bias's gradient is summed in f64 over chunks, as BatchNorm's are. Of the host's own, for plugins too.

#include "bf16_numbers.h"
#include "norm_kernels.h"
#include "plain.h"

#include <ATen/ops/threshold_backward.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <vector>

namespace biased {

using at::Tensor;

// What is not a number stays one.
template <typename Number>
INFOMAX_INLINE void add_rows(Number* INFOMAX_APART y, const float* INFOMAX_APART bias, int64_t rows, int64_t channels, bool relu) {
  for (int64_t r = 0; r < rows; ++r) {
    Number* INFOMAX_APART row = y + r * channels;
    if (relu) {
      for (int64_t c = 0; c < channels; ++c) {
        const float value = widened(row[c]) + bias[c];
        narrow(value < 0.0f ? 0.0f : value, row[c]);
      }
    } else {
      for (int64_t c = 0; c < channels; ++c) narrow(widened(row[c]) + bias[c], row[c]);
    }
  }
}

// Sums of the gradient where the output is above zero, which is written too; or of all of it.
template <typename Number>
INFOMAX_INLINE void gate_rows(const Number* INFOMAX_APART dy, const Number* INFOMAX_APART y, Number* INFOMAX_APART passed, int64_t rows,
                              int64_t channels, float* INFOMAX_APART sums) {
  std::fill_n(sums, channels, 0.0f);
  for (int64_t r = 0; r < rows; ++r) {
    const Number* INFOMAX_APART gradient = dy + r * channels;
    if (y) {
      const Number* INFOMAX_APART out = y + r * channels;
      Number* INFOMAX_APART own = passed + r * channels;
      for (int64_t c = 0; c < channels; ++c) {
        const float whole = widened(gradient[c]), g = widened(out[c]) <= 0.0f ? 0.0f : whole;  // read either way: no branch
        narrow(g, own[c]);
        sums[c] += g;
      }
    } else {
      for (int64_t c = 0; c < channels; ++c) sums[c] += widened(gradient[c]);
    }
  }
}

// For each processor: a template cannot be compiled for several.

INFOMAX_WIDE void add_chunk(float* y, const float* bias, int64_t rows, int64_t channels, bool relu) {
  add_rows(y, bias, rows, channels, relu);
}

INFOMAX_WIDE void add_chunk(at::BFloat16* y, const float* bias, int64_t rows, int64_t channels, bool relu) {
  add_rows(y, bias, rows, channels, relu);
}

INFOMAX_WIDE void gate_chunk(const float* dy, const float* y, float* passed, int64_t rows, int64_t channels, float* sums) {
  gate_rows(dy, y, passed, rows, channels, sums);
}

INFOMAX_WIDE void gate_chunk(const at::BFloat16* dy, const at::BFloat16* y, at::BFloat16* passed, int64_t rows, int64_t channels,
                             float* sums) {
  gate_rows(dy, y, passed, rows, channels, sums);
}

template <typename Number>
void add(const Tensor& y, const Tensor& bias, bool relu) {
  const int64_t channels = y.size(1);
  Number* to = y.mutable_data_ptr<Number>();
  const float* from = bias.const_data_ptr<float>();
  const norm::Parts parts(y.numel() / channels, channels);
  at::parallel_for(0, parts.count(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      parts.chunks(part, [&](int64_t row, int64_t rows) { add_chunk(to + row * channels, from, rows, channels, relu); });
    }
  });
}

// The bias's gradient; with an output, `passed` becomes that of what the bias was added to.
template <typename Number>
Tensor gate(const Tensor& gradient, const Tensor& y, const Tensor& passed) {
  const int64_t channels = gradient.size(1);
  const Number* dy = gradient.const_data_ptr<Number>();
  const Number* out = y.defined() ? y.const_data_ptr<Number>() : nullptr;
  Number* own = passed.defined() ? passed.mutable_data_ptr<Number>() : nullptr;
  const norm::Parts parts(gradient.numel() / channels, channels);
  std::vector<double> sums(parts.count() * channels, 0.0);
  at::parallel_for(0, parts.count(), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> chunk(channels);
    for (int64_t part = begin; part < end; ++part) {
      parts.chunks(part, [&](int64_t row, int64_t rows) {
        const int64_t at = row * channels;
        gate_chunk(dy + at, out ? out + at : nullptr, own ? own + at : nullptr, rows, channels, chunk.data());
        norm::add_to(chunk.data(), &sums[part * channels], channels);
      });
    }
  });
  auto result = at::empty({channels}, gradient.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous));
  float* to = result.mutable_data_ptr<float>();
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0;
    for (int64_t part = 0; part < parts.count(); ++part) sum += sums[part * channels + c];
    to[c] = static_cast<float>(sum);
  }
  return result;
}

struct AddBias : torch::autograd::Function<AddBias> {
  static Tensor forward(torch::autograd::AutogradContext* context, Tensor y, const Tensor& bias, bool relu) {
    const auto added = bias.contiguous();
    is_plain(y) ? add<float>(y, added, relu) : add<at::BFloat16>(y, added, relu);
    context->mark_dirty({y});
    context->saved_data["relu"] = relu;
    if (relu) {
      context->save_for_backward({y});
    }
    return y;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const bool relu = context->saved_data["relu"].toBool();
    const auto y = relu ? context->get_saved_variables()[0] : Tensor();
    const auto& gradient = gradients[0];
    if (at::GradMode::is_enabled() || !is_f32_or_bf16(gradient)) {  // a derivative that has one itself
      const auto passed = relu ? at::threshold_backward(gradient, y, 0) : gradient;
      return {passed, passed.sum({0, 2, 3}, false, at::kFloat), Tensor()};
    }
    const auto dy = gradient.contiguous(at::MemoryFormat::ChannelsLast);
    const auto passed = relu ? at::empty_like(y) : Tensor();
    const auto own = is_plain(dy) ? gate<float>(dy, y, passed) : gate<at::BFloat16>(dy, y, passed);
    return {relu ? passed : gradient, own, Tensor()};
  }
};

Tensor add_bias(Tensor y, const Tensor& bias, bool relu) {
  TORCH_CHECK(y.dim() == 4 && bias.dim() == 1 && bias.size(0) == y.size(1), "adds a number for each channel to maps of N × C × H × W, got ",
              bias.sizes(), " and ", y.sizes());
  if (is_fused() && is_f32_or_bf16(y) && is_plain_last(y, y.scalar_type()) && is_plain(bias)) {
    return AddBias::apply(y, bias, relu);
  }
  y.add_(bias.view({1, -1, 1, 1}));
  return relu ? y.relu_() : y;
}

}  // namespace biased

TORCH_LIBRARY_FRAGMENT(infomax, library) {
  library.def("add_bias_(Tensor(a!) y, Tensor bias, bool relu) -> Tensor(a!)",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(biased::add_bias)));
}
