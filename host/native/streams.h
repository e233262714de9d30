// Streams beside the one that computes, through libtorch's registries: nothing links CUDA.

#pragma once

#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <map>
#include <mutex>

// One stream for each device, taken from libtorch's pool once.
class OwnStreams {
 public:
  c10::Stream of(const c10::impl::VirtualGuardImpl& guard, c10::Device device) {
    std::lock_guard lock(mutex_);
    auto found = streams_.find(device.index());
    if (found == streams_.end()) {
      found = streams_.emplace(device.index(), guard.getStreamFromGlobalPool(device)).first;
    }
    return found->second;
  }

 private:
  std::mutex mutex_;
  std::map<c10::DeviceIndex, c10::Stream> streams_;
};

// Lets work that `second` is given from now on wait for what `first` was given so far; the host does not wait.
inline void follow(const c10::Stream& first, const c10::Stream& second) {
  c10::Event done(first.device_type());
  done.record(first);
  done.block(second);
}
