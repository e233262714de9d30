// Tensors that the host's own kernels on a CPU read through a pointer.

#pragma once

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

inline bool is_plain(const at::Tensor& tensor, at::ScalarType kind = at::kFloat) {
  return tensor.scalar_type() == kind && tensor.layout() == at::kStrided && tensor.device().is_cpu() && !tensor.is_neg();
}

// In one of the two formats that the host's own passes read.
inline bool is_f32_or_bf16(const at::Tensor& tensor) { return is_plain(tensor) || is_plain(tensor, at::kBFloat16); }

// Maps of N × C × H × W, or a convolution's weights, with the channels last in memory.
inline bool is_plain_last(const at::Tensor& maps, at::ScalarType kind = at::kFloat) {
  return maps.dim() == 4 && is_plain(maps, kind) && maps.numel() > 0 && maps.is_contiguous(at::MemoryFormat::ChannelsLast);
}

inline bool are_all(at::IntArrayRef numbers, int64_t number) {
  return std::all_of(numbers.begin(), numbers.end(), [=](int64_t each) { return each == number; });
}

// INFOMAX_FUSED=0 takes layers one after the other, as a device without the host's own passes does: to compare with.
inline bool is_fused() {
  static const bool wanted = [] {
    const char* value = std::getenv("INFOMAX_FUSED");
    return !value || std::strcmp(value, "0") != 0;
  }();
  return wanted;
}
