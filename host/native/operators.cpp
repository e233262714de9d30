// Libtorch's dispatcher as a plain C interface: the work behind the operator table of infomax_abi. Numbers of kinds,
// devices and layouts are the interface's own. Called by host/src/plugin/operators.rs alone, which frees messages.

#include "guarded.h"

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ScalarOps.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <string>
#include <vector>

namespace {

struct Value {
  uint32_t tag;
  uint32_t count;
  uint64_t bits;
};

enum Tag : uint32_t {
  kDefault, kNone, kTensor, kInt, kDouble, kBool, kString, kInts, kDoubles, kBools, kTensors, kKind, kDevice, kMemoryFormat, kGenerator
};

constexpr std::array<at::ScalarType, 10> kKinds = {at::kBool, at::kByte, at::kChar,     at::kShort, at::kInt,
                                                   at::kLong, at::kHalf, at::kBFloat16, at::kFloat, at::kDouble};
constexpr uint32_t kOther = UINT32_MAX;

at::ScalarType kind_of(uint64_t number) {
  TORCH_CHECK(number < kKinds.size(), "there is no kind ", number);
  return kKinds[number];
}

uint32_t number_of(at::ScalarType kind) {
  auto found = std::find(kKinds.begin(), kKinds.end(), kind);
  return found == kKinds.end() ? kOther : static_cast<uint32_t>(found - kKinds.begin());
}

at::Device device_of(uint64_t bits) {
  auto type = static_cast<uint32_t>(bits >> 32);
  TORCH_CHECK(type <= 1, "there is no device type ", type);
  return type == 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<int8_t>(bits & 0xff));
}

uint64_t number_of(at::Device device) {
  uint64_t type = device.is_cpu() ? 0 : device.is_cuda() ? 1 : kOther;
  uint64_t index = device.has_index() ? static_cast<uint8_t>(device.index()) : 0;
  return type << 32 | index;
}

at::MemoryFormat format_of(uint64_t number) {
  constexpr std::array<at::MemoryFormat, 4> formats = {at::MemoryFormat::Contiguous, at::MemoryFormat::Preserve,
                                                       at::MemoryFormat::ChannelsLast,
                                                       at::MemoryFormat::ChannelsLast3d};
  TORCH_CHECK(number < formats.size(), "there is no memory format ", number);
  return formats[number];
}

template <typename T>
c10::ArrayRef<T> list_of(const Value& value) {
  return {reinterpret_cast<const T*>(value.bits), value.count};
}

double as_double(uint64_t bits) {
  double number;
  static_assert(sizeof(number) == sizeof(bits));
  memcpy(&number, &bits, sizeof(number));
  return number;
}

// What an argument of an operator takes, found once.
struct Argument {
  std::string name;
  std::string type;
  c10::TypeKind kind;                                // of the value, below `Optional`
  c10::TypeKind element = c10::TypeKind::NoneType;   // of a list
  bool optional = false;
  bool optional_elements = false;
  int64_t repeat = 0;                                // int[2]: one number stands for two
  std::optional<c10::IValue> fallback;
};

struct Operator {
  c10::OperatorHandle handle;
  std::vector<Argument> arguments;
  size_t results;
};

Argument planned(const c10::Argument& given) {
  Argument argument;
  argument.name = given.name();
  argument.type = given.type()->str();
  c10::TypePtr type = given.type();
  if (auto optional = type->cast<c10::OptionalType>()) {
    argument.optional = true;
    type = optional->getElementType();
  }
  argument.kind = type->kind();
  if (auto list = type->cast<c10::ListType>()) {
    c10::TypePtr element = list->getElementType();
    if (auto optional = element->cast<c10::OptionalType>()) {
      argument.optional_elements = true;
      element = optional->getElementType();
    }
    argument.element = element->kind();
    argument.repeat = given.N().value_or(0);
  }
  if (given.default_value()) {
    argument.fallback = *given.default_value();
  } else if (argument.optional) {
    argument.fallback = c10::IValue();
  }
  return argument;
}

c10::IValue int_list(const Argument& argument, const Value& value) {
  c10::List<int64_t> numbers;
  if (value.tag == kInts) {
    auto given = list_of<int64_t>(value);
    // int[2] takes one number for both, as in Python.
    bool repeated = given.size() == 1 && argument.repeat > 1;
    numbers.reserve(repeated ? argument.repeat : given.size());
    for (int64_t i = 0; repeated && i < argument.repeat; i++) numbers.push_back(given[0]);
    for (size_t i = 0; !repeated && i < given.size(); i++) numbers.push_back(given[i]);
  } else {
    for (int64_t i = 0; i < std::max<int64_t>(argument.repeat, 1); i++) numbers.push_back(static_cast<int64_t>(value.bits));
  }
  return numbers;
}

c10::IValue list(const Argument& argument, const Value& value, bool& fits) {
  using Type = c10::TypeKind;
  switch (argument.element) {
    case Type::IntType:
    case Type::SymIntType:
      if (value.tag == kInts || value.tag == kInt) return int_list(argument, value);
      break;
    case Type::FloatType:
      if (value.tag == kDoubles) {
        c10::List<double> numbers;
        for (double number : list_of<double>(value)) numbers.push_back(number);
        return numbers;
      }
      break;
    case Type::BoolType:
      if (value.tag == kBools) {
        c10::List<bool> truths;
        for (uint8_t truth : list_of<uint8_t>(value)) truths.push_back(truth != 0);
        return truths;
      }
      break;
    case Type::NumberType:
      if (value.tag == kDoubles || value.tag == kInts) {
        c10::List<at::Scalar> numbers;
        for (size_t i = 0; i < value.count; i++)
          numbers.push_back(value.tag == kInts ? at::Scalar(list_of<int64_t>(value)[i])
                                               : at::Scalar(list_of<double>(value)[i]));
        return c10::impl::toList(numbers);
      }
      break;
    case Type::TensorType:
      if (value.tag == kTensors) {
        auto handles = list_of<const at::Tensor*>(value);
        if (argument.optional_elements) {
          c10::List<std::optional<at::Tensor>> tensors;
          for (auto handle : handles) tensors.push_back(handle ? std::optional<at::Tensor>(*handle) : std::nullopt);
          return tensors;
        }
        c10::List<at::Tensor> tensors;
        tensors.reserve(handles.size());
        for (auto handle : handles) tensors.push_back(handle ? *handle : at::Tensor());
        return tensors;
      }
      break;
    default:
      break;
  }
  fits = false;
  return {};
}

c10::IValue converted(const Argument& argument, const Value& value, bool& fits) {
  using Type = c10::TypeKind;
  auto number = static_cast<int64_t>(value.bits);
  switch (argument.kind) {
    case Type::TensorType:
      if (value.tag == kTensor) return *reinterpret_cast<const at::Tensor*>(value.bits);
      // As Python does: a number beside a tensor takes the tensor's kind.
      if (value.tag == kInt) return at::native::wrapped_scalar_tensor(at::Scalar(number));
      if (value.tag == kDouble) return at::native::wrapped_scalar_tensor(at::Scalar(as_double(value.bits)));
      if (value.tag == kBool) return at::native::wrapped_scalar_tensor(at::Scalar(number != 0));
      break;
    case Type::IntType:
    case Type::SymIntType:
    case Type::ScalarTypeType:
    case Type::LayoutType:
    case Type::MemoryFormatType:
      if (value.tag == kInt) return number;
      if (value.tag == kBool) return number;
      if (value.tag == kKind) return static_cast<int64_t>(kind_of(value.bits));
      if (value.tag == kMemoryFormat) return static_cast<int64_t>(format_of(value.bits));
      break;
    case Type::FloatType:
      if (value.tag == kDouble) return as_double(value.bits);
      if (value.tag == kInt) return static_cast<double>(number);
      break;
    case Type::NumberType:
      if (value.tag == kDouble) return as_double(value.bits);
      if (value.tag == kInt) return number;
      if (value.tag == kBool) return number != 0;
      break;
    case Type::BoolType:
      if (value.tag == kBool || value.tag == kInt) return number != 0;
      break;
    case Type::StringType:
      if (value.tag == kString) return std::string(reinterpret_cast<const char*>(value.bits), value.count);
      break;
    case Type::DeviceObjType:
      if (value.tag == kDevice) return device_of(value.bits);
      break;
    case Type::GeneratorType:
      if (value.tag == kGenerator) return *reinterpret_cast<const at::Generator*>(value.bits);
      break;
    case Type::ListType:
      return list(argument, value, fits);
    default:
      break;
  }
  fits = false;
  return {};
}

const char* word_of(uint32_t tag) {
  constexpr std::array<const char*, 15> words = {
      "nothing",           "nothing",         "a tensor",          "a whole number",    "a number",
      "a truth value",     "a text",          "whole numbers",     "numbers",           "truth values",
      "several tensors",   "a kind",          "a device",          "a memory format",
      "a generator"};
  return tag < words.size() ? words[tag] : "something else";
}

c10::IValue argument_value(const Operator& op, size_t at, const Value* values, size_t count) {
  const Argument& argument = op.arguments[at];
  uint32_t tag = at < count ? values[at].tag : kDefault;
  if (tag == kDefault) {
    TORCH_CHECK(argument.fallback, "`", argument.name, "` (", argument.type, ") has no default and was not given");
    return *argument.fallback;
  }
  if (tag == kNone) {
    if (argument.optional) return {};
    TORCH_CHECK(argument.kind == c10::TypeKind::TensorType, "`", argument.name, "` takes ", argument.type, ", not None");
    return at::Tensor();
  }
  bool fits = true;
  c10::IValue value = converted(argument, values[at], fits);
  TORCH_CHECK(fits, "`", argument.name, "` takes ", argument.type, ", got ", word_of(tag));
  return value;
}

uint64_t handle(at::Tensor tensor) { return reinterpret_cast<uint64_t>(new at::Tensor(std::move(tensor))); }

uint64_t bits_of(double number) {
  uint64_t bits;
  memcpy(&bits, &number, sizeof(bits));
  return bits;
}

Value result_value(c10::IValue value) {
  if (value.isTensor()) return {kTensor, 0, handle(std::move(value).toTensor())};
  if (value.isNone()) return {kNone, 0, 0};
  if (value.isInt()) return {kInt, 0, static_cast<uint64_t>(value.toInt())};
  if (value.isSymInt()) return {kInt, 0, static_cast<uint64_t>(value.toSymInt().guard_int(__FILE__, __LINE__))};
  if (value.isDouble()) return {kDouble, 0, bits_of(value.toDouble())};
  if (value.isBool()) return {kBool, 0, value.toBool()};
  if (value.isScalar()) {
    at::Scalar scalar = value.toScalar();
    if (scalar.isIntegral(false)) return {kInt, 0, static_cast<uint64_t>(scalar.toLong())};
    return {kDouble, 0, bits_of(scalar.toDouble())};
  }
  if (value.isTensorList()) {
    auto tensors = value.toTensorVector();
    auto handles = new uint64_t[tensors.size()];
    for (size_t i = 0; i < tensors.size(); i++) handles[i] = handle(std::move(tensors[i]));
    return {kTensors, static_cast<uint32_t>(tensors.size()), reinterpret_cast<uint64_t>(handles)};
  }
  if (value.isIntList()) {
    auto given = value.toIntVector();
    auto numbers = new uint64_t[given.size()];
    std::copy(given.begin(), given.end(), reinterpret_cast<int64_t*>(numbers));
    return {kInts, static_cast<uint32_t>(given.size()), reinterpret_cast<uint64_t>(numbers)};
  }
  TORCH_CHECK(false, "a result of the kind `", value.tagKind(), "` does not cross the boundary");
}

at::Tensor defined(const at::Tensor* tensor) {
  TORCH_CHECK(tensor->defined(), "the tensor is undefined");
  return *tensor;
}

// Tensors one after the other along the first dimension; without a copy where they lie so in memory already.
at::Tensor join(at::TensorList parts) {
  TORCH_CHECK(!parts.empty(), "nothing to join");
  const auto& first = parts[0];
  bool adjacent = first.dim() > 0 && first.size(0) > 0;
  for (size_t i = 0; i < parts.size() && adjacent; ++i) {
    const auto& part = parts[i];
    adjacent = part.is_alias_of(first) && part.sizes() == first.sizes() && part.strides() == first.strides() &&
               part.scalar_type() == first.scalar_type() && !part.requires_grad() &&
               part.storage_offset() == first.storage_offset() + static_cast<int64_t>(i) * first.size(0) * first.stride(0);
  }
  if (!adjacent) return at::cat(parts, 0);
  auto sizes = first.sizes().vec();
  sizes[0] *= static_cast<int64_t>(parts.size());
  return first.as_strided(sizes, first.strides(), first.storage_offset());
}

}  // namespace

// An operator that libtorch lacks, found in the table as its own are; another is in batch_norm.cpp.
TORCH_LIBRARY_FRAGMENT(infomax, library) {
  library.def("join(Tensor[] parts) -> Tensor",
              torch::dispatch(c10::DispatchKey::CompositeImplicitAutograd, TORCH_FN(join)));
}

extern "C" {

// Null where there is no such operator.
const void* infomax_operator(const char* name, const char* overload, uint32_t* results) {
  auto found = c10::Dispatcher::singleton().findSchema({name, overload});
  if (!found) return nullptr;
  const auto& schema = found->schema();
  auto op = new Operator{*found, {}, schema.returns().size()};
  for (const auto& argument : schema.arguments()) op->arguments.push_back(planned(argument));
  *results = static_cast<uint32_t>(op->results);
  return op;
}

// `name` or `name.overload` of every operator, a line each; freed by the caller.
char* infomax_operator_names() {
  std::string names;
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) {
    names += name.name;
    if (!name.overload_name.empty()) names += "." + name.overload_name;
    names += '\n';
  }
  return strdup(names.c_str());
}

// As `OperatorTable::signature` says; freed by the caller.
char* infomax_operator_signature(const void* pointer) {
  const auto& schema = static_cast<const Operator*>(pointer)->handle.schema();
  std::string lines;
  auto add = [&lines](char mark, const c10::Argument& argument) {
    lines += std::string(1, mark) + '\t' + argument.name() + '\t' + argument.type()->str() + '\t';
    if (const auto* alias = argument.alias_info()) {
      for (const auto& set : alias->beforeSets()) lines += set.toUnqualString();
      if (alias->isWrite()) lines += '!';
    }
    lines += '\n';
  };
  for (const auto& argument : schema.arguments()) add('>', argument);
  for (const auto& result : schema.returns()) add('<', result);
  return strdup(lines.c_str());
}

char* infomax_operator_call(const void* pointer, const Value* values, size_t count, Value* results, size_t room) {
  return guarded([&] {
    const auto& op = *static_cast<const Operator*>(pointer);
    TORCH_CHECK(count <= op.arguments.size(), "takes ", op.arguments.size(), " arguments, got ", count);
    TORCH_CHECK(op.results <= room, "gives ", op.results, " results, there is room for ", room);
    torch::jit::Stack stack;
    stack.reserve(std::max(op.arguments.size(), op.results));
    for (size_t i = 0; i < op.arguments.size(); i++) stack.push_back(argument_value(op, i, values, count));
    op.handle.callBoxed(stack);
    for (size_t i = 0; i < stack.size(); i++) results[i] = result_value(std::move(stack[i]));
  });
}

void infomax_free_list(const Value* value) { delete[] reinterpret_cast<uint64_t*>(value->bits); }

at::Tensor* infomax_handle_clone(const at::Tensor* tensor) { return new at::Tensor(*tensor); }

void infomax_handle_drop(at::Tensor* tensor) { delete tensor; }

struct TensorFacts {
  uint32_t defined, kind;
  uint64_t device, rank;
  uint32_t requires_grad, leaf;
};

TensorFacts infomax_tensor_facts(const at::Tensor* tensor) {
  if (!tensor->defined()) return {};
  return {1, number_of(tensor->scalar_type()), number_of(tensor->device()), static_cast<uint64_t>(tensor->dim()),
          tensor->requires_grad(), tensor->is_leaf()};
}

size_t infomax_tensor_sizes(const at::Tensor* tensor, int64_t* sizes, size_t room) {
  if (!tensor->defined()) return 0;
  auto all = tensor->sizes();
  std::copy_n(all.begin(), std::min(room, all.size()), sizes);
  return all.size();
}

char* infomax_tensor_from_bytes(uint32_t kind, const int64_t* sizes, size_t rank, const void* bytes, size_t length,
                                uint64_t device, at::Tensor** made) {
  return guarded([&] {
    at::ScalarType type = kind_of(kind);
    at::Device target = device_of(device);
    // Out of page-locked memory a GPU copies by itself: nobody waits for it.
    auto options = at::TensorOptions().dtype(type).pinned_memory(target.is_cuda());
    at::Tensor tensor = at::empty(c10::IntArrayRef(sizes, rank), options);
    TORCH_CHECK(tensor.nbytes() == length, "the shape ", tensor.sizes(), " holds ", tensor.numel(), " numbers, ",
                length / tensor.element_size(), " were given");
    if (length > 0) memcpy(tensor.data_ptr(), bytes, length);
    *made = new at::Tensor(target.is_cpu() ? tensor : tensor.to(target, /*non_blocking=*/true));
  });
}

char* infomax_tensor_to_bytes(const at::Tensor* tensor, uint32_t kind, void* bytes, size_t length) {
  return guarded([&] {
    at::Tensor numbers = defined(tensor).detach().to(at::kCPU, kind_of(kind)).contiguous();
    TORCH_CHECK(numbers.nbytes() == length, "the tensor holds ", numbers.nbytes(), " bytes, there is room for ", length);
    if (length > 0) memcpy(bytes, numbers.const_data_ptr(), length);
  });
}

char* infomax_tensor_parameter(const at::Tensor* tensor, at::Tensor** made) {
  return guarded([&] { *made = new at::Tensor(defined(tensor).detach().set_requires_grad(true)); });
}

// 0 or 1 sets it, another number only asks; what was before.
uint32_t infomax_plugin_autocast(uint32_t device_type, uint32_t enabled) {
  if (device_type > 1) return 0;
  at::DeviceType type = device_type == 0 ? at::kCPU : at::kCUDA;
  bool before = at::autocast::is_autocast_enabled(type);
  if (enabled <= 1) at::autocast::set_autocast_enabled(type, enabled == 1);
  return before;
}

char* infomax_gradients(at::Tensor* const* tensors, at::Tensor* const* weights, size_t count, at::Tensor* const* others,
                        size_t other_count, uint32_t keep_graph, uint32_t differentiable, at::Tensor** gradients) {
  return guarded([&] {
    std::vector<at::Tensor> seeds;
    for (size_t i = 0; i < count; i++) seeds.push_back(weights[i] ? *weights[i] : at::Tensor());
    auto given = torch::autograd::grad(list(tensors, count), list(others, other_count), seeds, keep_graph != 0,
                                       differentiable != 0, true);
    for (size_t i = 0; i < other_count; i++)
      gradients[i] = given[i].defined() ? new at::Tensor(std::move(given[i])) : nullptr;
  });
}

// A generator of its own with a seed, on a device.
char* infomax_generator(uint64_t seed, uint64_t device, at::Generator** made) {
  return guarded([&] {
    at::Device target = device_of(device);
    auto generator = target.is_cpu()
                         ? at::detail::createCPUGenerator()
                         : at::globalContext().getAcceleratorHooksInterface(target.type()).getNewGenerator(target.index());
    generator.set_current_seed(seed);
    *made = new at::Generator(std::move(generator));
  });
}

void infomax_generator_drop(at::Generator* generator) { delete generator; }

}
