// CUDA graphs of the device that is not there: at::cuda::CUDAGraph under the names that libtorch_cuda.so gives its members.
//
// Between begin and end of a capture every operator that reaches the device's kernels is written down, below autograd, on whatever
// thread it comes. Nothing of it is done: kernels run for the shapes of their results, and memory, statistics and generator are put
// back at the end. A replay runs the kernels again over the same memory. What nobody but the graph holds is filled with NaN after
// capture and replay, since the real library gives that memory to others of the pool.

#include "mirror.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/enum_tag.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/library.h>

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeRelaxed };

#define SHOWN __attribute__((visibility("default")))

namespace {

using at::Tensor;
using c10::IValue;

struct Counts {
  std::atomic<long> graphs{0}, operators{0}, replays{0}, kernels{0}, views{0}, allocations{0}, failed{0};
  std::atomic<bool> pool_is_open{false};
  Counts() { std::atexit(write); }
  static void write();
};
Counts& counts() {
  static auto* one = new Counts;
  return *one;
}
const bool begun = (counts(), true);

void Counts::write() {
  const char* given = std::getenv("GRAPHS_REPORT");
  if (!given) return;
  std::string path = given;
  if (const auto at = path.find("%p"); at != std::string::npos) path.replace(at, 2, std::to_string(getpid()));
  FILE* file = fopen(path.c_str(), "w");
  if (!file) return;
  const auto& c = counts();
  fprintf(file,
          "{\"graphs\": %ld, \"operators\": %ld, \"replays\": %ld, \"kernels\": %ld, \"allocations\": %ld, \"failed\": %ld, "
          "\"pool_is_open\": %s}\n",
          c.graphs.load(), c.operators.load(), c.replays.load(), c.kernels.load(), c.allocations.load(), c.failed.load(),
          c.pool_is_open ? "true" : "false");
  fclose(file);
}

thread_local bool replaying = false;

struct Call {
  c10::OperatorHandle op;
  std::vector<IValue> arguments, results;
};

struct Recorded;

// Memory of a captured graph: kept until the graph goes, while the storages over it come and go as they would without.
struct Made {
  c10::DataPtr memory;
  size_t bytes;
  c10::weak_intrusive_ptr<c10::StorageImpl> storage;
  Recorded* last = nullptr;  // the graph that takes it last
};
std::map<void*, Made> all_made;

struct Recorded {
  std::vector<Call> calls;
  std::map<std::pair<void*, size_t>, c10::Storage> own;  // over the memory that calls take and give
  std::map<std::pair<void*, size_t>, std::vector<char>> before;
  std::vector<void*> made;
  Tensor generator;
  uint64_t seed = 0;
  std::string fault;
  c10::DeviceIndex device = 0;
};

std::recursive_mutex mutex;
Recorded* capturing = nullptr;
std::vector<Recorded*> pending;  // captured, and nothing replayed since

// The same memory under a storage of our own, which holds nothing: autograd and others look at counts of references.
Tensor alias(Recorded& graph, const Tensor& tensor) {
  if (!tensor.defined() || !tensor.is_cuda()) return tensor;
  auto* impl = tensor.unsafeGetTensorImpl();
  const auto& storage = impl->unsafe_storage();
  void* memory = storage.mutable_data();
  auto& own = graph.own[{memory, storage.nbytes()}];
  if (!own) {
    own = c10::make_intrusive<c10::StorageImpl>(c10::StorageImpl::use_byte_size_t(), storage.nbytes(),
                                                c10::DataPtr(memory, storage.device()), fake::device_allocator(), true);
  }
  if (const auto found = all_made.find(memory); found != all_made.end()) found->second.last = &graph;
  auto made = fake::device_tensor(own, impl->dtype());
  made.unsafeGetTensorImpl()->set_sizes_and_strides(impl->sizes(), impl->strides(), impl->storage_offset());
  if (impl->is_wrapped_number()) made.unsafeGetTensorImpl()->set_wrapped_number(true);
  return made;
}

// Takes the memory of a new storage over.
void keep(Recorded& graph, const c10::Storage& storage) {
  void* memory = storage.mutable_data();
  if (!memory) return;
  auto* impl = storage.unsafeGetStorageImpl();
  auto owned = impl->set_data_ptr(c10::DataPtr(memory, storage.device()));
  const auto one = c10::intrusive_ptr<c10::StorageImpl>::reclaim_copy(impl);
  all_made.insert_or_assign(memory, Made{std::move(owned), storage.nbytes(), c10::weak_intrusive_ptr<c10::StorageImpl>(one)});
  graph.made.push_back(memory);
}

template <typename Look>
void each(const IValue& value, Look look) {
  if (value.isTensor()) {
    look(value.toTensor());
  } else if (value.isTensorList()) {
    for (const auto& tensor : value.toTensorVector()) look(tensor);
  } else if (value.isOptionalTensorList()) {
    for (const auto& tensor : value.toOptionalTensorVector()) {
      if (tensor) look(*tensor);
    }
  }
}

IValue alias(Recorded& graph, const IValue& value) {
  if (value.isTensor()) return alias(graph, value.toTensor());
  if (value.isTensorList()) {
    c10::List<Tensor> list;
    for (const auto& tensor : value.toTensorVector()) list.push_back(alias(graph, tensor));
    return list;
  }
  if (value.isOptionalTensorList()) {
    c10::List<std::optional<Tensor>> list;
    for (const auto& tensor : value.toOptionalTensorVector()) {
      list.push_back(tensor ? std::optional<Tensor>(alias(graph, *tensor)) : std::nullopt);
    }
    return list;
  }
  return value;
}

void fail(Recorded& graph, const std::string& what) {
  graph.fault = what;
  TORCH_CHECK(false, "CUDA error: operation not permitted when stream is capturing: ", what);
}

void record(const c10::OperatorHandle& op, c10::DispatchKeySet keys, torch::jit::Stack* stack) {
  c10::impl::ExcludeDispatchKeyGuard not_again(c10::DispatchKey::Fake);
  const auto below = keys & c10::DispatchKeySet(c10::DispatchKeySet::FULL_AFTER, c10::DispatchKey::Fake);
  std::lock_guard lock(mutex);
  if (!capturing) return op.redispatchBoxed(below, stack);
  auto& graph = *capturing;
  const auto& schema = op.schema();
  const auto& name = schema.name();
  const size_t count = schema.arguments().size(), base = stack->size() - count;
  bool on_cuda = false, on_cpu = false, own_generator = false;
  for (size_t i = 0; i < count; ++i) {
    const auto& value = (*stack)[base + i];
    each(value, [&](const Tensor& tensor) {
      if (tensor.defined()) (tensor.is_cuda() ? on_cuda : on_cpu) = true;
    });
    if (value.isDevice()) on_cuda |= value.toDevice().is_cuda();
    if (value.isGenerator()) own_generator |= value.toGenerator().defined();
  }
  if (!on_cuda) return op.redispatchBoxed(below, stack);
  if (op.hasTag(at::Tag::data_dependent_output) || op.hasTag(at::Tag::dynamic_output_shape)) fail(graph, name);
  if (name == "aten::copy_" && on_cpu) fail(graph, name);
  if (own_generator) fail(graph, name + " by a generator that the graph does not know");
  Call call{op, {}, {}};
  std::vector<c10::StorageImpl*> given;
  for (size_t i = 0; i < count; ++i) {
    const auto& value = (*stack)[base + i];
    call.arguments.push_back(alias(graph, value));
    each(value, [&](const Tensor& tensor) {
      if (!tensor.defined() || !tensor.is_cuda()) return;
      const auto& storage = tensor.unsafeGetTensorImpl()->unsafe_storage();
      given.push_back(storage.unsafeGetStorageImpl());
      const std::pair place(storage.mutable_data(), storage.nbytes());
      // Not only what the schema says is written: BatchNorm's statistics are not among that.
      if (all_made.count(place.first) || graph.before.count(place)) return;
      const auto* bytes = static_cast<const char*>(fake::host(place.first));
      graph.before.emplace(place, std::vector<char>(bytes, bytes + place.second));
    });
  }
  op.redispatchBoxed(below, stack);
  for (size_t i = stack->size() - schema.returns().size(); i < stack->size(); ++i) {
    each((*stack)[i], [&](const Tensor& tensor) {
      if (!tensor.defined() || !tensor.is_cuda()) return;
      const auto& storage = tensor.unsafeGetTensorImpl()->unsafe_storage();
      auto* impl = storage.unsafeGetStorageImpl();
      const bool is_new = std::find(given.begin(), given.end(), impl) == given.end() && !all_made.count(storage.mutable_data());
      if (is_new) keep(graph, storage);
    });
    call.results.push_back(alias(graph, (*stack)[i]));
  }
  graph.calls.push_back(std::move(call));
}

void poison(void* memory, size_t bytes) {
  if (bytes > 0) std::memset(fake::host(memory), 0xFF, bytes);
}

// What nobody else holds and no later graph takes.
void poison_dead(const Recorded& graph) {
  for (const auto& [memory, made] : all_made) {
    if (made.last == &graph && made.storage.expired()) poison(memory, made.bytes);
  }
}

int64_t allocations(c10::DeviceIndex device) {
  return fake::device_allocator()->getDeviceStats(device).allocation[0].allocated;
}

// What the allocator has to be told where a capture fails, in the place that the real one has for it.
struct OpenPools {
#define NOTHING(n) virtual void nothing##n() {}
  NOTHING(0) NOTHING(1) NOTHING(2) NOTHING(3) NOTHING(4) NOTHING(5) NOTHING(6) NOTHING(7) NOTHING(8)
  NOTHING(9) NOTHING(10) NOTHING(11) NOTHING(12) NOTHING(13) NOTHING(14) NOTHING(15) NOTHING(16) NOTHING(17)
  NOTHING(18) NOTHING(19) NOTHING(20) NOTHING(21) NOTHING(22) NOTHING(23) NOTHING(24) NOTHING(25) NOTHING(26)
  virtual void endAllocateToPool(c10::DeviceIndex, c10::MempoolId_t) { counts().pool_is_open = false; }
};

}  // namespace

namespace c10::cuda::CUDACachingAllocator {
SHOWN std::atomic<void*> allocator{new OpenPools};
}

namespace at::cuda {

SHOWN c10::MempoolId_t graph_pool_handle() { return {0, 1}; }

struct SHOWN CUDAGraph {
  explicit CUDAGraph(bool keep_graph);
  ~CUDAGraph();
  void capture_begin(c10::MempoolId_t pool, cudaStreamCaptureMode mode);
  void capture_end();
  void replay();

 private:
  Recorded* graph;
};

CUDAGraph::CUDAGraph(bool) : graph(new Recorded) {}
CUDAGraph::~CUDAGraph() {
  std::lock_guard lock(mutex);
  pending.erase(std::remove(pending.begin(), pending.end(), graph), pending.end());
  for (void* memory : graph->made) all_made.erase(memory);
  delete graph;
}

void CUDAGraph::capture_begin(c10::MempoolId_t, cudaStreamCaptureMode) {
  std::lock_guard lock(mutex);
  const c10::impl::VirtualGuardImpl guard(c10::kCUDA);
  graph->device = guard.getDevice().index();
  TORCH_CHECK(guard.getStream(guard.getDevice()).id() != 0, "CUDA graphs must be captured on a non-default stream.");
  TORCH_CHECK(!capturing, "one capture at a time");
  TORCH_CHECK(!counts().pool_is_open, "beginAllocateToPool: already recording to mempool_id");
  counts().pool_is_open = true;
  const auto generator = fake::host_generator(fake::default_generator(graph->device));
  graph->generator = Tensor(generator.get_state()).clone();
  graph->seed = generator.current_seed();
  capturing = graph;
  c10::impl::tls_set_dispatch_key_included(c10::DispatchKey::Fake, true);
}

void CUDAGraph::capture_end() {
  std::lock_guard lock(mutex);
  c10::impl::tls_set_dispatch_key_included(c10::DispatchKey::Fake, false);
  capturing = nullptr;
  for (const auto& [place, bytes] : graph->before) {
    if (place.first) std::memcpy(fake::host(place.first), bytes.data(), bytes.size());
  }
  graph->before.clear();
  auto generator = fake::host_generator(fake::default_generator(graph->device));
  const bool same_seed = generator.current_seed() == graph->seed;
  generator.set_state(graph->generator);
  if (!same_seed) graph->fault = "a seed was set while it was captured";
  if (const char* fails = std::getenv("GRAPHS_FAIL"); fails && counts().graphs == std::atoi(fails)) {
    graph->fault = "as asked";
  }
  if (!graph->fault.empty()) {
    ++counts().failed;
    TORCH_CHECK(false, "CUDA error: operation failed due to a previous error during capture (", graph->fault, ")");
  }
  counts().pool_is_open = false;
  pending.push_back(graph);
  ++counts().graphs;
  counts().operators += static_cast<long>(graph->calls.size());
}

void CUDAGraph::replay() {
  std::lock_guard lock(mutex);
  TORCH_CHECK(!capturing, "a replay within a capture");
  for (auto* captured : pending) {
    for (void* memory : captured->made) poison(memory, all_made.at(memory).bytes);
  }
  pending.clear();
  const auto before = allocations(graph->device);
  replaying = true;
  ++counts().replays;
  {
    at::AutoDispatchBelowADInplaceOrView below;
    c10::impl::ExcludeDispatchKeyGuard no_autocast(c10::autocast_dispatch_keyset);
    for (const auto& call : graph->calls) {
      torch::jit::Stack stack(call.arguments);
      call.op.callBoxed(stack);
      for (size_t i = 0; i < stack.size(); ++i) {
        std::vector<Tensor> to, from;
        each(call.results[i], [&](const Tensor& tensor) { to.push_back(tensor); });
        each(stack[i], [&](const Tensor& tensor) { from.push_back(tensor); });
        for (size_t k = 0; k < to.size(); ++k) {
          if (!to[k].defined() || !to[k].is_cuda() || to[k].is_alias_of(from[k])) continue;
          TORCH_CHECK(to[k].sizes() == from[k].sizes(), "a replayed ", call.op.schema().name(), " gave another shape");
          fake::Mirror mirror;
          c10::impl::ExcludeDispatchKeyGuard plain(c10::autograd_dispatch_keyset);
          mirror.to_host(to[k]).copy_(mirror.to_host(from[k]));
        }
      }
    }
  }
  poison_dead(*graph);
  replaying = false;
  counts().allocations += allocations(graph->device) - before;
}

}  // namespace at::cuda

// What the kernels of a replay are counted as.
extern "C" {
void __real__ZN4fake12count_kernelERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE(const std::string& name);
void __wrap__ZN4fake12count_kernelERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE(const std::string& name) {
  if (replaying) {
    ++counts().kernels;
  } else {
    __real__ZN4fake12count_kernelERKNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE(name);
  }
}
}

TORCH_LIBRARY_IMPL(_, Fake, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<&record>());
}
