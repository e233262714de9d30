// CUDA graphs without their header, which needs all of CUDA's: at::cuda::CUDAGraph's members are called where they are found in
// libtorch_cuda.so, which is opened at run time. Also a stream beside the default one, on which alone graphs can be captured.
// Called by host/src/native/graphs.rs alone.

#ifndef NDEBUG
#error "a RecordFunction has another layout than libtorch's own without NDEBUG"
#endif

#include "guarded.h"
#include "streams.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/core/CachingHostAllocator.h>
#include <ATen/record_function.h>
#include <c10/core/Allocator.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <dlfcn.h>

#include <memory>

namespace {

using Pool = c10::MempoolId_t;

// As libtorch 2.11.0 has them. An at::cuda::CUDAGraph has 104 bytes there, measured with its own header; the rest of the room is never touched.
constexpr size_t kRoom = 1024;
constexpr const char* kConstruct = "_ZN2at4cuda9CUDAGraphC1Eb";
constexpr const char* kDestroy = "_ZN2at4cuda9CUDAGraphD1Ev";
constexpr const char* kBegin = "_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode";
constexpr const char* kEnd = "_ZN2at4cuda9CUDAGraph11capture_endEv";
constexpr const char* kReplay = "_ZN2at4cuda9CUDAGraph6replayEv";
constexpr const char* kPool = "_ZN2at4cuda17graph_pool_handleEv";
// libc10_cuda.so's allocator, and the place of `endAllocateToPool` in its table of functions.
constexpr const char* kAllocator = "_ZN3c104cuda20CUDACachingAllocator9allocatorE";
constexpr size_t kEndAllocateToPool = 0xd8 / sizeof(void*);
// cudaStreamCaptureModeThreadLocal: other threads may allocate and wait meanwhile.
constexpr int kThreadLocal = 1;

using Construct = void (*)(void* self, bool keep_graph);
using Plain = void (*)(void* self);
using Begin = void (*)(void* self, Pool pool, int mode);
using MakePool = Pool (*)();
using EndAllocate = void (*)(void* self, c10::DeviceIndex device, Pool pool);

template <typename Function>
Function find(const char* symbol) {
  auto* found = dlsym(RTLD_DEFAULT, symbol);
  TORCH_CHECK(found, "libtorch_cuda.so has no CUDA graphs, or is not that of libtorch 2.11.0");
  return reinterpret_cast<Function>(found);
}

struct Graph {
  alignas(16) unsigned char memory[kRoom];
  c10::DeviceIndex device;
  Pool pool;
};

struct Side {
  c10::Stream before, own;
};

OwnStreams streams_of_steps;

// `capture_end` leaves three things as they are in a capture where the device refuses it: the allocators' pools, and the
// generator. Each is put right by itself; what is right already says so by throwing.
template <typename Call>
void ignoring(Call call) {
  try {
    call();
  } catch (const std::exception&) {
  }
}

void put_right(c10::DeviceIndex device, Pool pool) {
  if (auto* allocator = static_cast<void**>(dlsym(RTLD_DEFAULT, kAllocator)); allocator && *allocator) {
    auto** functions = *static_cast<void***>(*allocator);
    ignoring([&] { reinterpret_cast<EndAllocate>(functions[kEndAllocateToPool])(*allocator, device, pool); });
  }
  ignoring([&] {
    if (auto* pinned = at::getHostAllocator(c10::kCUDA)) pinned->end_allocate_to_pool(pool);
  });
  ignoring([&] {
    auto generator = at::globalContext().defaultGenerator(c10::Device(c10::kCUDA, device));
    generator.graphsafe_set_state(at::globalContext().getAcceleratorHooksInterface(c10::kCUDA).getNewGenerator(device));
  });
}

}  // namespace

extern "C" {

int infomax_has_graphs(void) {
  for (const char* symbol : {kConstruct, kDestroy, kBegin, kEnd, kReplay, kPool}) {
    if (!dlsym(RTLD_DEFAULT, symbol)) return 0;
  }
  return 1;
}

// Gives work of this thread to a stream of its own from now on, after what the current one was given.
char* infomax_side_begin(int index, Side** made) {
  return guarded([&] {
    const c10::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
    const c10::impl::VirtualGuardImpl guard(c10::kCUDA);
    auto side = std::make_unique<Side>(Side{guard.getStream(device), streams_of_steps.of(guard, device)});
    follow(side->before, side->own);
    guard.exchangeStream(side->own);
    *made = side.release();
  });
}

// Ends it: what the stream before is given from now on comes after.
char* infomax_side_end(Side* pointer) {
  const std::unique_ptr<Side> side(pointer);
  return guarded([&] {
    const c10::impl::VirtualGuardImpl guard(c10::kCUDA);
    guard.exchangeStream(side->before);
    follow(side->own, side->before);
  });
}

// A pool of memory for graphs that are replayed in the order of their capture. What the allocator keeps for other work is given
// back first, for which the device is waited for: a pool takes nothing of it.
char* infomax_graph_pool(int index, uint64_t id[2]) {
  return guarded([&] {
    const c10::impl::VirtualGuardImpl guard(c10::kCUDA);
    guard.synchronizeDevice(static_cast<c10::DeviceIndex>(index));
    c10::getDeviceAllocator(c10::kCUDA)->emptyCache();
    const auto pool = find<MakePool>(kPool)();
    id[0] = pool.first, id[1] = pool.second;
  });
}

// Begins to capture what the current stream is given, which then is not done.
char* infomax_graph_begin(int device, const uint64_t id[2], Graph** made) {
  return guarded([&] {
    const auto construct = find<Construct>(kConstruct);
    const auto begin = find<Begin>(kBegin);
    at::DisableRecordFunctionGuard unwatched;  // what libtorch does by itself is no part of the step
    auto* graph = new Graph{{}, static_cast<c10::DeviceIndex>(device), Pool(id[0], id[1])};
    try {
      construct(graph->memory, false);
    } catch (...) {
      delete graph;
      throw;
    }
    try {
      begin(graph->memory, graph->pool, kThreadLocal);
    } catch (...) {
      // Lost on purpose: libtorch may hold its address.
      put_right(graph->device, graph->pool);
      throw;
    }
    *made = graph;
  });
}

// Ends the capture. Where that fails the graph is gone, and nothing else is left of it.
char* infomax_graph_end(Graph* graph) {
  return guarded([&] {
    at::DisableRecordFunctionGuard unwatched;
    try {
      find<Plain>(kEnd)(graph->memory);
    } catch (...) {
      put_right(graph->device, graph->pool);
      throw;
    }
  });
}

// Gives all of it to the current stream again.
char* infomax_graph_replay(Graph* graph) {
  return guarded([&] { find<Plain>(kReplay)(graph->memory); });
}

// Only of one whose capture ended well.
void infomax_graph_free(Graph* graph) {
  ignoring([&] { find<Plain>(kDestroy)(graph->memory); });
  delete graph;
}

}  // extern "C"
