// Tensors that the host's own kernels on a CPU read through a pointer.

#pragma once

#include <ATen/ATen.h>

inline bool is_plain(const at::Tensor& tensor) {
  return tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided && tensor.device().is_cpu() && !tensor.is_neg();
}
