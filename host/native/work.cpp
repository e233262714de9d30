// How much work is done: the products and convolutions that libtorch is asked for, counted by the shapes of their arguments as they
// pass, and what ranks exchange, on every thread. Called by host/src/native/work.rs alone.

#ifndef NDEBUG
#error "a RecordFunction has another layout than libtorch's own without NDEBUG"
#endif

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/record_function.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <string_view>

namespace {

std::atomic<double> operations{0};
std::atomic<uint64_t> exchanges{0}, exchanged_bytes{0};

void add(double count) {
  double before = operations.load();
  while (!operations.compare_exchange_weak(before, before + count)) {
  }
}

// What a rank gives to an exchange.
void add_exchange(const at::RecordFunction& call, std::string_view name) {
  // The whole of a sum, one's own of a gather, all ranks' of a scattered sum.
  const auto inputs = call.inputs();
  const bool is_list = name == "c10d::allreduce_" || name == "c10d::broadcast_";
  if (is_list) {
    for (const auto& tensor : inputs[0].toTensorVector()) exchanged_bytes += tensor.nbytes();
  } else {
    exchanged_bytes += inputs[1].toTensor().nbytes();
  }
  ++exchanges;
}

// Multiplications and additions of one convolution of x by w.
double of_convolution(const at::Tensor& x, const at::Tensor& w, const std::vector<int64_t>& stride,
                      const std::vector<int64_t>& padding, const std::vector<int64_t>& dilation) {
  double count = 2.0 * static_cast<double>(x.size(0)) * static_cast<double>(w.numel());
  for (int64_t i = 2; i < x.dim(); ++i) {
    const auto at = [&](const std::vector<int64_t>& list, int64_t otherwise) {
      return list.empty() ? otherwise : list[std::min<size_t>(i - 2, list.size() - 1)];
    };
    const int64_t width = at(dilation, 1) * (w.size(i) - 1) + 1;
    count *= static_cast<double>((x.size(i) + 2 * at(padding, 0) - width) / at(stride, 1) + 1);
  }
  return count;
}

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& call) {
  const std::string_view name = call.name();
  constexpr std::array<std::string_view, 6> counted = {"aten::convolution", "aten::convolution_backward", "aten::mm",
                                                       "aten::bmm", "aten::addmm", "aten::baddbmm"};
  constexpr std::array<std::string_view, 4> exchanging = {"c10d::allreduce_", "c10d::broadcast_", "c10d::_allgather_base_",
                                                          "c10d::_reduce_scatter_base_"};
  if (std::find(exchanging.begin(), exchanging.end(), name) != exchanging.end()) {
    add_exchange(call, name);
    return nullptr;
  }
  // Other calls may come without their arguments.
  if (std::find(counted.begin(), counted.end(), name) == counted.end()) return nullptr;
  const auto inputs = call.inputs();
  const auto tensor = [&](size_t i) { return inputs[i].toTensor(); };
  const auto product = [&](const at::Tensor& a, const at::Tensor& b) {
    add(2.0 * static_cast<double>(a.numel()) * static_cast<double>(b.size(-1)));
  };
  if (name == "aten::convolution") {
    add(of_convolution(tensor(0), tensor(1), inputs[3].toIntVector(), inputs[4].toIntVector(), inputs[5].toIntVector()));
  } else if (name == "aten::convolution_backward") {
    const auto wanted = inputs[10].toBoolList();
    const int parts = wanted.get(0) + wanted.get(1);
    add(parts * of_convolution(tensor(1), tensor(2), inputs[4].toIntVector(), inputs[5].toIntVector(),
                               inputs[6].toIntVector()));
  } else if (name == "aten::mm" || name == "aten::bmm") {
    product(tensor(0), tensor(1));
  } else if (name == "aten::addmm" || name == "aten::baddbmm") {
    product(tensor(1), tensor(2));
  }
  return nullptr;
}

}  // namespace

extern "C" {

// Begins to count; gives what `infomax_work_end` takes.
uint64_t infomax_work_begin(void) {
  operations = 0;
  exchanges = exchanged_bytes = 0;
  return at::addGlobalCallback(at::RecordFunctionCallback(begin).needsInputs(true).scopes({at::RecordScope::FUNCTION}));
}

struct infomax_work {
  double operations;  // multiplications and additions
  uint64_t exchanges, exchanged_bytes;
};

// Ends it; what was done since then.
infomax_work infomax_work_end(uint64_t handle) {
  at::removeCallback(handle);
  return {operations, exchanges, exchanged_bytes};
}

// Forgets the most that a CUDA device's tensors took.
char* infomax_reset_peak(int index) {
  return guarded([&] {
    c10::getDeviceAllocator(c10::DeviceType::CUDA)->resetPeakStats(static_cast<c10::DeviceIndex>(index));
  });
}

}  // extern "C"
