// Number formats: autocast, TF32, deterministic algorithms, unscaling of gradients, and the memory of a device. A plain C
// interface as in torch_extras.cpp: a message that infomax_free frees, or null. Called by host/src/native/precision.rs
// alone. Nothing here links CUDA: what is asked of a device goes through libtorch's registries.

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/autocast_mode.h>
#include <c10/core/CachingDeviceAllocator.h>

namespace {

c10::DeviceType type(int cuda) { return cuda ? c10::DeviceType::CUDA : c10::DeviceType::CPU; }

}  // namespace

extern "C" {

// Autocast of this thread, for the CPU and for CUDA; the dtype is c10::ScalarType's number.
struct infomax_autocast_state {
  int cpu_enabled, cpu_dtype, cuda_enabled, cuda_dtype, cache_enabled;
};

infomax_autocast_state infomax_autocast_get(void) {
  using namespace at::autocast;
  const auto cpu = type(0), cuda = type(1);
  return {is_autocast_enabled(cpu), static_cast<int>(get_autocast_dtype(cpu)), is_autocast_enabled(cuda),
          static_cast<int>(get_autocast_dtype(cuda)), is_autocast_cache_enabled()};
}

void infomax_autocast_set(infomax_autocast_state state) {
  using namespace at::autocast;
  const auto cpu = type(0), cuda = type(1);
  set_autocast_enabled(cpu, state.cpu_enabled);
  set_autocast_dtype(cpu, static_cast<at::ScalarType>(state.cpu_dtype));
  set_autocast_enabled(cuda, state.cuda_enabled);
  set_autocast_dtype(cuda, static_cast<at::ScalarType>(state.cuda_dtype));
  set_autocast_cache_enabled(state.cache_enabled);
}

// Begins a region in which each leaf is cast once.
void infomax_autocast_enter(void) { at::autocast::increment_nesting(); }

// Ends a region; the outermost one lets the casts go.
void infomax_autocast_leave(void) {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
}

// Whether f32 products on CUDA may round their factors to 10 bits, in cuBLAS and in cuDNN, whose default is yes.
char* infomax_set_tf32(int allowed) {
  return guarded([&] {
    at::globalContext().setAllowTF32CuBLAS(allowed != 0);
    at::globalContext().setAllowTF32CuDNN(allowed != 0);
  });
}

int infomax_tf32(void) {
  return at::globalContext().allowTF32CuBLAS() || at::globalContext().allowTF32CuDNN();
}

// Whether every operation must repeat its result to the bit; one that can't fails. cuBLAS needs a fixed workspace, read
// from the environment when CUDA is first used.
char* infomax_set_deterministic(int wanted) {
  return guarded([&] {
    if (wanted) setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
    auto& context = at::globalContext();
    context.setDeterministicAlgorithms(wanted != 0, false);
    context.setDeterministicFillUninitializedMemory(false);  // a pass over every new tensor, for debugging
    context.setDeterministicCuDNN(wanted != 0);
  });
}

int infomax_deterministic(void) { return at::globalContext().deterministicAlgorithms(); }

// Divides f32 gradients by a scale, an f64 scalar on their device, in place; `found` becomes an f32 scalar there, 1 where a
// number is not finite.
char* infomax_unscale(at::Tensor* const* gradients, size_t count, at::Tensor* scale, at::Tensor** found) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto tensors = list(gradients, count);
    auto nonfinite = at::zeros({}, scale->options().dtype(at::kFloat));
    auto inverse = scale->reciprocal().to(at::kFloat);
    if (count > 0) at::_amp_foreach_non_finite_check_and_unscale_(tensors, nonfinite, inverse);
    *found = new at::Tensor(nonfinite);
  });
}

// Moves a loss scale after a step. `state`, f64: the scale, and the steps without an overflow since it last changed. An
// overflow lowers it, down to `floor`; `every` steps without one raise it, up to `largest`. Nothing moves unless `counts`.
char* infomax_move_scale(at::Tensor* state, at::Tensor* overflowed, at::Tensor* counts, double backoff, double growth,
                         double floor, double largest, double every) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    const auto scale = state->select(0, 0), good = state->select(0, 1) + 1;
    const auto is_over = overflowed->gt(0), is_due = good.ge(every);
    const auto raised = at::minimum(scale * growth, scale.clamp_min(largest));
    const auto next = at::where(is_over, (scale * backoff).clamp_min(floor), at::where(is_due, raised, scale));
    const auto moved = at::stack({next, good.masked_fill(is_over.logical_or(is_due), 0.0)});
    state->copy_(at::where(counts->gt(0), moved, *state));
  });
}

// Bytes on a CUDA device: in tensors now, in tensors at most since the start, kept by the allocator, free, in all.
char* infomax_device_memory(int index, unsigned long long bytes[5]) {
  return guarded([&] {
    auto* allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
    const auto stats = allocator->getDeviceStats(static_cast<c10::DeviceIndex>(index));
    const auto [unused, total] = allocator->getMemoryInfo(static_cast<c10::DeviceIndex>(index));
    const auto& allocated = stats.allocated_bytes[0];  // the aggregate over pools
    bytes[0] = allocated.current;
    bytes[1] = allocated.peak;
    bytes[2] = stats.reserved_bytes[0].current;
    bytes[3] = unused;
    bytes[4] = total;
  });
}

}  // extern "C"
