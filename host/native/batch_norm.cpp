// BatchNorm over other groups of samples than the batch at hand: parts of it, or the batches of all ranks together.
// Takes the place of aten::batch_norm, so that it holds for whatever library calls it; where no policy is set, which is
// everywhere but during an encoder's training pass, libtorch's own runs.

#include "collectives.h"
#include "guarded.h"

#include <ATen/ops/batch_norm_native.h>
#include <ATen/ops/instance_norm_native.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <utility>

namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

// Which samples share statistics in calls of this thread.
struct Policy {
  int64_t parts = 1;       // equal parts of the batch, each with its own
  Group* group = nullptr;  // the batches of all ranks together
};
thread_local Policy policy;

// A vector over channels, to be broadcast over N × C × ….
Tensor over_channels(const Tensor& vector_c, int64_t dims) {
  std::vector<int64_t> shape(dims, 1);
  shape[1] = vector_c.numel();
  return vector_c.view(shape);
}

std::vector<int64_t> all_but_channels(int64_t dims) {
  std::vector<int64_t> result{0};
  for (int64_t i = 2; i < dims; ++i) result.push_back(i);
  return result;
}

// BatchNorm whose statistics are those of all ranks' batches. Statistics are combined in f64 from each rank's count,
// mean and sum of squares about its mean (Chan, Golub, LeVeque 1979), relative to the running mean where there is one:
// an encoder may shift its input and the running mean by a constant, even another one on each rank.
struct SharedBatchNorm : torch::autograd::Function<SharedBatchNorm> {
  static Tensor forward(torch::autograd::AutogradContext* context, const Tensor& x, const OptionalTensor& weight,
                        const OptionalTensor& bias, const OptionalTensor& running_mean,
                        const OptionalTensor& running_var, double momentum, double eps, int64_t group_address) {
    auto* group = reinterpret_cast<Group*>(group_address);
    const int64_t dims = x.dim(), channels = x.size(1);
    const auto others = all_but_channels(dims);
    const auto z = x.to(at::kFloat);
    const double count = static_cast<double>(x.numel()) / static_cast<double>(channels);
    auto local_mean = z.mean(others, false, at::kDouble).to(at::kFloat);
    auto local_squares = (z - over_channels(local_mean, dims)).square().sum(others, false, at::kDouble);
    auto counts = at::full({channels}, count, local_mean.options().dtype(at::kDouble));
    auto origin = running_mean ? running_mean->to(at::kDouble) : at::zeros_like(counts);
    auto local = at::stack({counts, local_mean.to(at::kDouble) - origin, local_squares.to(at::kDouble)}).unsqueeze(0);
    auto of_ranks = group->gather(local);  // ranks × 3 × C
    auto n_rc = of_ranks.select(1, 0), mean_rc = of_ranks.select(1, 1), squares_rc = of_ranks.select(1, 2);
    auto n_c = n_rc.sum(0);
    auto mean_c = (n_rc * mean_rc).sum(0) / n_c;
    auto squares_c = squares_rc.sum(0) + (n_rc * (mean_rc - mean_c).square()).sum(0);
    auto scale_c = (squares_c / n_c + eps).rsqrt().to(at::kFloat);
    if (running_mean) {
      running_mean->add_(mean_c.to(at::kFloat), momentum);
      running_var->mul_(1 - momentum).add_((squares_c / (n_c - 1)).to(at::kFloat), momentum);
    }
    auto centre_c = (mean_c + origin).to(at::kFloat);
    auto normalised = (z - over_channels(centre_c, dims)) * over_channels(scale_c, dims);
    auto y = normalised;
    if (weight) y = y * over_channels(*weight, dims);
    if (bias) y = y + over_channels(*bias, dims);
    context->save_for_backward({normalised, scale_c, weight ? *weight : Tensor(), n_c.to(at::kFloat)});
    context->saved_data["group"] = group_address;
    context->saved_data["bias"] = bias.has_value();
    return y.to(x.scalar_type());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = context->get_saved_variables();
    const auto &normalised = saved[0], &scale_c = saved[1], &weight = saved[2], &n_c = saved[3];
    auto* group = reinterpret_cast<Group*>(context->saved_data["group"].toInt());
    const int64_t dims = normalised.dim();
    const auto others = all_but_channels(dims);
    auto dy = gradients[0].to(at::kFloat);
    auto local = at::stack({dy.sum(others, false, at::kDouble), (dy * normalised).sum(others, false, at::kDouble)});
    auto all = local.clone();
    group->sum(all);
    auto mean_dy = over_channels((all[0] / n_c).to(at::kFloat), dims);
    auto mean_product = over_channels((all[1] / n_c).to(at::kFloat), dims);
    auto factor_c = weight.defined() ? scale_c * weight : scale_c;
    auto dx = (dy - mean_dy - normalised * mean_product) * over_channels(factor_c, dims);
    return {dx.to(gradients[0].scalar_type()),
            weight.defined() ? local[1].to(at::kFloat) : Tensor(),
            context->saved_data["bias"].toBool() ? local[0].to(at::kFloat) : Tensor(),
            Tensor(), Tensor(), Tensor(), Tensor(), Tensor()};
  }
};

Tensor batch_norm(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias,
                  const OptionalTensor& running_mean, const OptionalTensor& running_var, bool training, double momentum,
                  double eps, bool cudnn) {
  const auto given = [](const OptionalTensor& tensor) { return tensor && tensor->defined() ? tensor : std::nullopt; };
  if (training && policy.group) {
    TORCH_CHECK(policy.parts == 1, "BatchNorm over parts of the batch and over all ranks exclude each other");
    return SharedBatchNorm::apply(x, given(weight), given(bias), given(running_mean), given(running_var), momentum, eps,
                                  reinterpret_cast<int64_t>(policy.group));
  }
  if (training && policy.parts > 1) {
    TORCH_CHECK(x.size(0) % policy.parts == 0, "a batch of ", x.size(0), " rows can't be cut into ", policy.parts,
                " equal parts for BatchNorm");
    // Each part moves a copy of the running statistics, whose mean stays: what ranks with a part each come to.
    const auto copy = [](const OptionalTensor& tensor) { return tensor ? OptionalTensor(tensor->clone()) : tensor; };
    const auto mean = given(running_mean), var = given(running_var);
    std::vector<Tensor> normalised, means, vars;
    for (const auto& part : x.chunk(policy.parts, 0)) {
      const auto mean_of_part = copy(mean), var_of_part = copy(var);
      normalised.push_back(at::native::batch_norm(part, weight, bias, mean_of_part, var_of_part, training, momentum, eps,
                                                  cudnn));
      if (mean) means.push_back(*mean_of_part), vars.push_back(*var_of_part);
    }
    if (mean) {
      at::NoGradGuard no_grad;
      mean->copy_(at::stack(means).mean(0));
      var->copy_(at::stack(vars).mean(0));
    }
    return at::cat(normalised, 0);
  }
  return at::native::batch_norm(x, weight, bias, running_mean, running_var, training, momentum, eps, cudnn);
}

// Of each image alone: libtorch makes it of batch_norm, on one row of all images' channels, which no policy is meant for.
Tensor instance_norm(const Tensor& x, const OptionalTensor& weight, const OptionalTensor& bias,
                     const OptionalTensor& running_mean, const OptionalTensor& running_var, bool use_input_stats,
                     double momentum, double eps, bool cudnn) {
  struct Suspended {
    Policy before = std::exchange(policy, Policy{});
    ~Suspended() { policy = before; }
  } suspended;
  return at::native::instance_norm(x, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn);
}

}  // namespace

TORCH_LIBRARY_IMPL(aten, AutogradCPU, library) {
  library.impl("batch_norm", batch_norm);
  library.impl("instance_norm", instance_norm);
}
TORCH_LIBRARY_IMPL(aten, AutogradCUDA, library) {
  library.impl("batch_norm", batch_norm);
  library.impl("instance_norm", instance_norm);
}

extern "C" {

// Which samples share statistics in this thread's calls from now on: `parts` equal parts of a batch have their own,
// or, with a group, the batches of all ranks share one. 1 and null: as libtorch does it.
void infomax_batch_norm_policy(int64_t parts, Group* group) { policy = {parts, group}; }

}  // extern "C"
