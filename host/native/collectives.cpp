// libtorch's own distributed engine (c10d) as a plain C interface: the store where processes meet, their group, its
// collectives, and the reducer of gradients. Every function returns null, or a message that the caller frees with
// infomax_free. Called by host/src/distributed/native.rs alone.

#define USE_C10D_GLOO

#include "collectives.h"
#include "guarded.h"
#include "nccl.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupWrapper.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/logger.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>

// gloo's own types are only declared here (gloo/context.h): these are the sizes in libtorch 2.11.0.
static_assert(sizeof(c10d::ProcessGroupGloo) == 0x1e8, "ProcessGroupGloo is laid out otherwise than in libtorch 2.11.0");
static_assert(sizeof(c10d::ProcessGroupGloo::Options) == 0xb0, "ProcessGroupGloo::Options is laid out otherwise");
static_assert(sizeof(c10d::TCPStore) == 0xd8, "TCPStore is laid out otherwise than in libtorch 2.11.0");
static_assert(sizeof(c10d::ProcessGroup) == 0x138, "ProcessGroup is laid out otherwise than in libtorch 2.11.0");

#include <unordered_set>

using Milliseconds = std::chrono::milliseconds;

void Group::sum(at::Tensor& tensor) {
  std::vector<at::Tensor> tensors{tensor};
  processes->allreduce(tensors)->wait();
}

at::Tensor Group::gather(const at::Tensor& tensor) {
  auto sizes = tensor.sizes().vec();
  sizes.at(0) *= processes->getSize();
  auto input = tensor.contiguous();
  auto output = at::empty(sizes, tensor.options());
  processes->_allgather_base(output, input)->wait();
  return output;
}

namespace {

// Sums a bucket of gradients, where libtorch's default would average.
struct SumHook : c10d::CppCommHookInterface<c10::intrusive_ptr<c10d::ProcessGroup>> {
  using CppCommHookInterface::CppCommHookInterface;

  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    std::vector<at::Tensor> tensors{bucket.getBufferRef()};
    return state_->allreduce(tensors)->getFuture();
  }
};

// Gradients of some parameters, summed over ranks while the backward pass goes on.
struct Reducer {
  std::shared_ptr<c10d::Reducer> reducer;
  std::shared_ptr<c10d::Logger> logger;
};

c10::intrusive_ptr<c10d::Backend> make_gloo(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                       const char* address, Milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(address));
  // Several would each write the name of what they have done last into one string, without a lock (`runLoop`).
  options->threads = 1;
  auto prefixed = c10::make_intrusive<c10d::PrefixStore>("gloo", store);
  return c10::make_intrusive<c10d::ProcessGroupGloo>(prefixed, rank, size, options);
}

}  // namespace

extern "C" {

// The server of a store on a port of the system's choice where `port` is 0. `port` becomes the one it listens on.
char* infomax_store_serve(uint16_t* port, int64_t timeout_ms, void** store) {
  return guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = *port;
    options.isServer = true;
    options.waitWorkers = false;
    options.timeout = Milliseconds(timeout_ms);
    auto served = c10::make_intrusive<c10d::TCPStore>("0.0.0.0", options);
    *port = served->getPort();
    *store = new c10::intrusive_ptr<c10d::Store>(served);
  });
}

// The store of host and port, as a client; with `serves` its server too. Waits until it answers.
char* infomax_store_open(const char* host, uint16_t port, int serves, int64_t timeout_ms, void** store) {
  return guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves != 0;
    options.waitWorkers = false;
    options.timeout = Milliseconds(timeout_ms);
    *store = new c10::intrusive_ptr<c10d::Store>(c10::make_intrusive<c10d::TCPStore>(host, options));
  });
}

void infomax_store_free(void* store) { delete static_cast<c10::intrusive_ptr<c10d::Store>*>(store); }

char* infomax_store_set(void* store, const char* key, const char* value, size_t length) {
  return guarded([&] {
    const auto* bytes = reinterpret_cast<const uint8_t*>(value);
    (*static_cast<c10::intrusive_ptr<c10d::Store>*>(store))->set(key, std::vector<uint8_t>(bytes, bytes + length));
  });
}

// The bytes under a key, which the caller frees with infomax_free; null where there are none. Does not wait for them.
char* infomax_store_get(void* store, const char* key, char** value, size_t* length) {
  return guarded([&] {
    auto& opened = *static_cast<c10::intrusive_ptr<c10d::Store>*>(store);
    *value = nullptr;
    if (!opened->check({key})) return;
    const auto bytes = opened->get(key);
    *value = static_cast<char*>(malloc(bytes.size() + 1));
    *length = bytes.size();
    std::memcpy(*value, bytes.data(), bytes.size());
  });
}

// Joins the group of `size` processes, all of which have come to the store. `address` is this machine's, as the other
// processes reach it. With `checked`, processes that call different collectives get an error that says so. CUDA tensors go
// through NCCL with `nccl`, through gloo otherwise.
char* infomax_group_join(void* opened, const char* prefix, const char* address, int rank, int size, int64_t timeout_ms,
                         int checked, int nccl, Group** group) {
  return guarded([&] {
    const Milliseconds timeout(timeout_ms);
    auto tcp = *static_cast<c10::intrusive_ptr<c10d::Store>*>(opened);
    tcp->setTimeout(timeout);
    auto store = c10::make_intrusive<c10d::PrefixStore>(prefix, tcp);
    auto processes = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
    auto backend = make_gloo(store, rank, size, address, timeout);
    auto type = c10d::ProcessGroup::BackendType::GLOO;
    if (checked) {
      auto apart = c10::make_intrusive<c10d::PrefixStore>("checks", store);
      auto other = make_gloo(apart, rank, size, address, timeout);
      backend = c10::make_intrusive<c10d::ProcessGroupWrapper>(backend, other);
      // Under its own type the wrapper would be taken for ProcessGroupGloo itself, and the process would crash.
      type = c10d::ProcessGroup::BackendType::CUSTOM;
    }
    processes->setBackend(at::kCPU, type, backend);
    if (nccl) {
      auto apart = c10::make_intrusive<c10d::PrefixStore>("nccl", store);
      processes->setBackend(at::kCUDA, c10d::ProcessGroup::BackendType::NCCL, make_nccl(apart, rank, size, timeout));
      processes->setDefaultBackend(c10d::ProcessGroup::BackendType::NCCL);
    } else {
      processes->setBackend(at::kCUDA, type, backend);
      processes->setDefaultBackend(type);
    }
    processes->setGroupName("infomax");
    *group = new Group{tcp, processes};
  });
}

void infomax_group_free(Group* group) { delete group; }

// Sums over all ranks, in place.
char* infomax_group_sum(Group* group, at::Tensor* tensor) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    group->sum(*tensor);
  });
}

// Every rank's tensor of one shape, one after the other along the first dimension of `output`.
char* infomax_group_gather(Group* group, at::Tensor* input, at::Tensor* output) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    group->processes->_allgather_base(*output, *input)->wait();
  });
}

// The sum over all ranks of `input`, of which each rank keeps its part along the first dimension in `output`.
char* infomax_group_scatter_sum(Group* group, at::Tensor* input, at::Tensor* output) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    group->processes->_reduce_scatter_base(*output, *input)->wait();
  });
}

// The tensor of a rank, to all of them, in place.
char* infomax_group_broadcast(Group* group, at::Tensor* tensor, int root) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<at::Tensor> tensors{*tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    group->processes->broadcast(tensors, options)->wait();
  });
}

// A reducer of the gradients of parameters, which are in the same order on all ranks. Sums, does not average. Where `varies`,
// parameters that a step leaves out are looked for, which takes an exchange a step that the host waits for; otherwise every
// step uses all of them.
char* infomax_reducer_new(Group* group, at::Tensor* const* parameters, size_t count, int64_t bucket_bytes, int varies,
                          Reducer** made) {
  return guarded([&] {
    auto tensors = list(parameters, count);
    const std::vector<bool> sparse(count, false);
    const int64_t first = std::min<int64_t>(c10d::kDefaultFirstBucketBytes, bucket_bytes);
    auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(tensors, {static_cast<size_t>(first),
                                                                              static_cast<size_t>(bucket_bytes)},
                                                                     sparse, {}, {});
    std::reverse(buckets.begin(), buckets.end());  // the backward pass begins with the last parameters
    std::unordered_map<size_t, std::string> names;
    for (size_t i = 0; i < count; ++i) names[i] = std::to_string(i);
    auto reducer = std::make_shared<c10d::Reducer>(tensors, buckets, group->processes, sparse, bucket_bytes,
                                                   /*find_unused_parameters=*/varies != 0, /*gradient_as_bucket_view=*/true,
                                                   names, first, /*skip_all_reduce_unused_params=*/false,
                                                   /*use_python_reducer=*/false, std::vector<int64_t>{});
    reducer->register_comm_hook(std::make_unique<SumHook>(group->processes));
    auto logger = std::make_shared<c10d::Logger>(reducer);
    reducer->set_logger(logger);
    logger->set_construction_data_and_log("encoder", {}, -1, false, false, false);
    *made = new Reducer{reducer, logger};
  });
}

void infomax_reducer_free(Reducer* reducer) {
  // Its destructor may throw; a group that lost a peer is of no use anyway.
  free(guarded([&] { delete reducer; }));
}

// Gets ready for the backward pass from these outputs, during which gradients are summed.
char* infomax_reducer_prepare(Reducer* reducer, at::Tensor* const* outputs, size_t count) {
  return guarded([&] {
    // Not the logger's statistics, which would wait for the device.
    reducer->reducer->prepare_for_forward();
    reducer->reducer->rebuild_buckets();
    reducer->reducer->prepare_for_backward(list(outputs, count));
  });
}

// Which of some parameters a backward pass from these outputs reaches.
char* infomax_reached(at::Tensor* const* outputs, size_t output_count, at::Tensor* const* parameters, size_t count,
                      unsigned char* reached) {
  return guarded([&] {
    std::unordered_set<torch::autograd::Node*> seen;
    std::vector<torch::autograd::Node*> open;
    const auto visit = [&](torch::autograd::Node* node) {
      if (node && seen.insert(node).second) open.push_back(node);
    };
    for (size_t i = 0; i < output_count; ++i) visit(outputs[i]->grad_fn().get());
    while (!open.empty()) {
      auto* node = open.back();
      open.pop_back();
      for (const auto& edge : node->next_edges()) visit(edge.function.get());
    }
    for (size_t i = 0; i < count; ++i) {
      const auto sum = torch::autograd::impl::try_get_grad_accumulator(*parameters[i]);
      reached[i] = sum && seen.count(sum.get()) > 0;
    }
  });
}

}  // extern "C"
