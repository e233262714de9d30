// Tensors of a CUDA device as they are at one moment, on their way to the host: copies into one block of page-locked memory, in
// the order of what the device is asked, and an event after the last of them. Nothing here waits but `infomax_download_wait`.
// Called by host/src/native/download.rs alone; nothing links CUDA.

#include "guarded.h"

#include <ATen/ATen.h>
#include <c10/core/Event.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <memory>

namespace {

constexpr int64_t kTensorAlignment = 64;  // of each tensor, so that any kind of number can be read from it

}  // namespace

extern "C" {

// Copies tensors of one CUDA device to the host; `made` gets a contiguous tensor for each, parts of one block, to be read once
// `infomax_download_wait` has returned for the event that is given. What the device is asked to change later comes after the copy.
char* infomax_download(at::Tensor* const* tensors, size_t count, at::Tensor** made, c10::Event** event) {
  return guarded([&] {
    c10::NoGradGuard no_grad;
    TORCH_CHECK(count > 0, "there is nothing to copy");
    const auto device = tensors[0]->device();
    std::vector<int64_t> starts;
    int64_t total = 0;
    for (size_t i = 0; i < count; ++i) {
      TORCH_CHECK(tensors[i]->device() == device, "tensors lie on several devices");
      starts.push_back(total);
      total += (static_cast<int64_t>(tensors[i]->nbytes()) + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
    }
    const auto block = at::empty({total}, at::TensorOptions().dtype(at::kByte).pinned_memory(true));
    std::vector<at::Tensor> copies;
    for (size_t i = 0; i < count; ++i) {
      const auto from = tensors[i]->detach();
      const auto bytes = block.narrow(0, starts[i], static_cast<int64_t>(from.nbytes()));
      const auto to = bytes.view(from.scalar_type()).view(from.sizes());
      // Contiguous on the device first: a copy that also reorders would go by way of another block, and wait.
      to.copy_(from.contiguous(), /*non_blocking=*/true);
      copies.push_back(to);
    }
    const c10::impl::VirtualGuardImpl guard(c10::kCUDA);
    auto done = std::make_unique<c10::Event>(c10::kCUDA);
    done->record(guard.getStream(device));
    for (size_t i = 0; i < count; ++i) made[i] = new at::Tensor(copies[i]);
    *event = done.release();
  });
}

// Waits until the copies before an event have been made. Any thread may.
char* infomax_download_wait(const c10::Event* event) {
  return guarded([&] { event->synchronize(); });
}

void infomax_download_free(c10::Event* event) { delete event; }

}  // extern "C"
