// The data of a step on its way to a CUDA device: one asynchronous copy out of page-locked memory, on a stream of its own,
// which the device makes while it computes the step before. Nothing here waits for the device. Called by
// host/src/native/upload.rs alone; nothing links CUDA: what is asked of a device goes through libtorch's registries.

#include "guarded.h"
#include "streams.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>

namespace {

constexpr size_t kPieceAlignment = 64;  // of each piece, so that any kind of number can be read from it

OwnStreams streams_of_copies;

}  // namespace

extern "C" {

// Copies pieces of host memory to a CUDA device; `made` gets a tensor of bytes for each, parts of one allocation; of the first
// `joined` ones, which lie one after the other, one tensor. Work that is given to the device's current stream from now on comes
// after the copy.
char* infomax_upload(int index, const void* const* pieces, const size_t* lengths, size_t count, size_t joined,
                     at::Tensor** made) {
  return guarded([&] {
    std::vector<size_t> starts;
    size_t total = 0, end_of_joined = 0;
    for (size_t i = 0; i < count; ++i) {
      starts.push_back(total);
      total += lengths[i];
      if (i + 1 == joined) end_of_joined = total;
      if (i + 1 >= joined) total = (total + kPieceAlignment - 1) / kPieceAlignment * kPieceAlignment;
    }
    const c10::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
    const c10::impl::VirtualGuardImpl guard(c10::kCUDA);
    const auto bytes = at::TensorOptions().dtype(at::kByte);
    const auto size = static_cast<int64_t>(total);
    // The allocator of page-locked memory gives a block out again once the copies out of it are done.
    auto here = at::empty({size}, bytes.pinned_memory(true));
    auto* memory = here.mutable_data_ptr<uint8_t>();
    for (size_t i = 0; i < count; ++i) std::memcpy(memory + starts[i], pieces[i], lengths[i]);
    const auto computes = guard.getStream(device), copies = streams_of_copies.of(guard, device);
    at::Tensor there;
    {
      c10::StreamGuard on(copies);
      there = at::empty({size}, bytes.device(device));
      there.copy_(here, /*non_blocking=*/true);
    }
    follow(copies, computes);
    there.record_stream(computes);
    const auto part = [&](size_t start, size_t length) {
      return new at::Tensor(there.narrow(0, static_cast<int64_t>(start), static_cast<int64_t>(length)));
    };
    size_t next = 0;
    if (joined > 0) made[next++] = part(0, end_of_joined);
    for (size_t i = joined; i < count; ++i) made[next++] = part(starts[i], lengths[i]);
  });
}

}  // extern "C"
