// What a step asks of libtorch, as text: a line for each operator with its numbers, and the kinds, shapes and layouts of its
// tensors. Two steps whose texts are equal launch the same kernels; a CUDA graph of one of them does what the other does.
// Called by host/src/native/watch.rs alone.

#ifndef NDEBUG
#error "a RecordFunction has another layout than libtorch's own without NDEBUG"
#endif

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/enum_tag.h>
#include <ATen/record_function.h>

#include <iomanip>
#include <memory>
#include <mutex>
#include <sstream>
#include <string>
#include <unordered_map>

namespace {

struct Watch {
  std::mutex mutex;
  std::ostringstream text;
  // Storages that outlive the step, by number: which of them an operator takes matters.
  std::unordered_map<const c10::StorageImpl*, size_t> known;
  // Where a graph is captured: what it takes and is still there at its end must stay. Not held before, or autograd would no
  // longer add in place.
  bool keeps = false;
  bool reads = true;  // the argument at hand, whose numbers are not there yet where it is only written
  std::unordered_map<const c10::StorageImpl*, c10::weak_intrusive_ptr<c10::StorageImpl>> taken;
  std::vector<c10::intrusive_ptr<c10::StorageImpl>> kept;
  at::CallbackHandle handle = 0;
};

std::mutex mutex_of_current;
Watch* current = nullptr;  // one at a time; the callbacks run on threads of one backward pass too

// How many calls on tensors of a GPU this thread is within.
thread_local int within = 0;

struct Within : at::ObserverContext {
  Within() { ++within; }
  ~Within() override { --within; }
};

// The only number of a tensor on the CPU, which a kernel takes by value.
template <typename Out>
void write_number(Out& out, const at::Tensor& tensor) {
  const void* bytes = tensor.const_data_ptr();
  switch (tensor.scalar_type()) {
    case at::kDouble: out << *static_cast<const double*>(bytes); break;
    case at::kFloat: out << *static_cast<const float*>(bytes); break;
    case at::kLong: out << *static_cast<const int64_t*>(bytes); break;
    case at::kInt: out << *static_cast<const int32_t*>(bytes); break;
    case at::kBool: out << *static_cast<const bool*>(bytes); break;
    default: out << "a number";
  }
}

void write(Watch& watch, std::ostringstream& out, const at::Tensor& tensor) {
  if (!tensor.defined()) {
    out << "none";
    return;
  }
  out << c10::toString(tensor.scalar_type()) << tensor.sizes();
  if (tensor.layout() != at::kStrided) {
    out << tensor.layout();
    return;
  }
  if (!tensor.device().is_cuda()) {
    out << "@cpu";
    if (watch.reads && tensor.numel() == 1 && tensor.has_storage()) {
      out << "=";
      write_number(out, tensor);
    }
    return;
  }
  if (!tensor.is_contiguous()) out << "/" << tensor.strides();
  if (!tensor.has_storage()) return;
  const auto& storage = tensor.storage();
  const auto* impl = storage.unsafeGetStorageImpl();
  if (const auto found = watch.known.find(impl); found != watch.known.end()) {
    out << "#" << found->second << "+" << tensor.storage_offset();
  }
  if (watch.keeps) {
    const auto one = c10::intrusive_ptr<c10::StorageImpl>::reclaim_copy(storage.unsafeGetStorageImpl());
    watch.taken.insert_or_assign(impl, c10::weak_intrusive_ptr<c10::StorageImpl>(one));
  }
}

void write(Watch& watch, std::ostringstream& out, const c10::IValue& value) {
  const auto list = [&](const auto& items) {
    out << "[";
    for (const auto& item : items) {
      write(watch, out, c10::IValue(item));
      out << ",";
    }
    out << "]";
  };
  if (value.isTensor()) return write(watch, out, value.toTensor());
  if (value.isTensorList()) return list(value.toTensorVector());
  if (value.isList()) {
    out << "[";
    for (const auto& item : value.toListRef()) {
      write(watch, out, item);
      out << ",";
    }
    out << "]";
    return;
  }
  if (value.isInt()) out << value.toInt();
  else if (value.isDouble()) out << value.toDouble();
  else if (value.isBool()) out << (value.toBool() ? "true" : "false");
  else if (value.isSymInt()) out << value.toSymInt();
  else if (value.isString()) out << value.toStringRef();
  else if (value.isDevice()) out << value.toDevice();
  else if (value.isScalar()) out << value.toScalar();
  else out << value.tagKind();
}

// The device of a call's first tensor on a GPU, and whether there are tensors with more than one number elsewhere.
struct Places {
  bool on_cuda = false, on_cpu = false, draws_by_own = false;
  void look(const at::Tensor& tensor) {
    if (!tensor.defined()) return;
    (tensor.device().is_cuda() ? on_cuda : on_cpu) = true;
  }
  void look(const c10::IValue& value) {
    if (value.isTensor()) look(value.toTensor());
    else if (value.isTensorList()) for (const auto& tensor : value.toTensorVector()) look(tensor);
    else if (value.isDevice()) on_cuda |= value.toDevice().is_cuda();
    else if (value.isGenerator()) draws_by_own |= value.toGenerator().defined();
  }
};

// Whether a graph can't hold this operator, in words.
const char* refusal(const c10::OperatorHandle& op, const Places& places) {
  const auto& name = op.schema().name();
  if (!places.on_cuda) return nullptr;
  if (op.hasTag(at::Tag::data_dependent_output) || op.hasTag(at::Tag::dynamic_output_shape)) return "waits for the device";
  if (name == "aten::copy_" && places.on_cpu) return "copies between host and device";
  if (op.hasTag(at::Tag::cudagraph_unsafe)) return "can't be captured, says libtorch";
  return nullptr;
}

std::unique_ptr<at::ObserverContext> on_begin(const at::RecordFunction& call) {
  const auto name = call.operator_name();
  if (!name) return nullptr;
  const auto op = c10::Dispatcher::singleton().findOp(*name);
  if (!op) return nullptr;
  std::lock_guard only(mutex_of_current);
  if (!current) return nullptr;
  std::lock_guard lock(current->mutex);
  Places places;
  for (const auto& input : call.inputs()) places.look(input);
  // What a call on a GPU does on the CPU follows from its arguments, where it is no result.
  if (!places.on_cuda && within > 0) return nullptr;
  std::ostringstream line;
  line << std::setprecision(17);
  line << c10::toString(*name) << "(";
  const auto& arguments = op->schema().arguments();
  const auto inputs = call.inputs();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto* alias = i < arguments.size() ? arguments[i].alias_info() : nullptr;
    current->reads = !alias || !alias->isWrite();
    write(*current, line, inputs[i]);
    line << ", ";
  }
  line << ")";
  if (const char* why = refusal(*op, places)) current->text << "!`" << c10::toString(*name) << "` " << why << "\n";
  // Marked where it draws from the device's own generator, whose seed the host sets; where by a generator of its own, apart.
  const bool seeded = op->hasTag(at::Tag::nondeterministic_seeded) && places.on_cuda;
  current->text << (places.draws_by_own ? "?" : seeded ? "~" : " ") << line.str() << "\n";
  if (places.on_cuda) return std::make_unique<Within>();
  return nullptr;
}

void on_end(const at::RecordFunction&, at::ObserverContext*) {}

}  // namespace

extern "C" {

// Begins to write down what this thread, and backward passes that it starts, ask of libtorch. `keeps`: memory that operators
// take, and that is there at the end, is held from then on.
Watch* infomax_watch_begin(at::Tensor* const* known, size_t count, int keeps) {
  auto watch = std::make_unique<Watch>();
  for (size_t i = 0; i < count; ++i) {
    if (known[i]->has_storage()) watch->known.emplace(known[i]->storage().unsafeGetStorageImpl(), i);
  }
  watch->keeps = keeps != 0;
  auto callback = at::RecordFunctionCallback(on_begin, on_end).needsInputs(true);
  std::lock_guard only(mutex_of_current);
  watch->handle = at::addThreadLocalCallback(callback.scopes({at::RecordScope::FUNCTION}));
  current = watch.get();
  return watch.release();
}

// Writes a line of the caller's own between them.
void infomax_watch_mark(const char* line) {
  std::lock_guard only(mutex_of_current);
  if (!current) return;
  std::lock_guard lock(current->mutex);
  current->text << line << "\n";
}

// Ends it; the text, which infomax_free frees. The watch holds memory until infomax_watch_free.
char* infomax_watch_end(Watch* watch) {
  at::removeCallback(watch->handle);
  std::lock_guard only(mutex_of_current);
  current = nullptr;
  for (const auto& [impl, storage] : watch->taken) {
    if (auto there = storage.lock()) watch->kept.push_back(std::move(there));
  }
  watch->taken.clear();
  return strdup(watch->text.str().c_str());
}

void infomax_watch_free(Watch* watch) { delete watch; }

}  // extern "C"
