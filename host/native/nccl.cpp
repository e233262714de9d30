// ProcessGroupNCCL without its header, which needs all of CUDA's: libtorch_cuda.so is opened at run time, so that one
// build serves machines with and without a GPU, and its two constructors are called where they are found.

#include "nccl.h"

#include <dlfcn.h>

#include <new>
#include <stdexcept>

namespace {

// Of libtorch 2.11.0, measured with its own headers. The rest of the room is never touched.
constexpr size_t kGroupBytes = 0x458, kOptionsBytes = 0xf8, kRoom = 0x100;

constexpr const char* kOptionsConstructor = "_ZN4c10d16ProcessGroupNCCL7OptionsC1Eb";
constexpr const char* kGroupConstructor =
    "_ZN4c10d16ProcessGroupNCCLC1EN3c1013intrusive_ptrINS_5StoreENS1_6detail34intrusive_target_default_null_typeIS3_"
    "EEEEiiNS2_INS0_7OptionsENS5_IS8_EEEE";

using Options = c10d::Backend::Options;
using ConstructOptions = void (*)(void* self, bool high_priority);
using ConstructGroup = void (*)(void* self, c10::intrusive_ptr<c10d::Store> store, int rank, int size,
                                c10::intrusive_ptr<Options> options);

template <typename Function>
Function find(const char* symbol) {
  auto* found = dlsym(RTLD_DEFAULT, symbol);
  if (!found) throw std::runtime_error("libtorch_cuda.so is not loaded, or is not that of libtorch 2.11.0");
  return reinterpret_cast<Function>(found);
}

// Memory in which a constructor of the library makes an object; given back where that throws.
template <typename T, typename Construct>
c10::intrusive_ptr<T> made(size_t bytes, Construct construct) {
  void* memory = ::operator new(bytes + kRoom);
  try {
    construct(memory);
  } catch (...) {
    ::operator delete(memory);
    throw;
  }
  return c10::intrusive_ptr<T>::unsafe_steal_from_new(static_cast<T*>(memory));
}

}  // namespace

extern "C" int infomax_has_nccl(void) { return dlsym(RTLD_DEFAULT, kGroupConstructor) != nullptr; }

c10::intrusive_ptr<c10d::Backend> make_nccl(const c10::intrusive_ptr<c10d::Store>& store, int rank, int size,
                                            std::chrono::milliseconds timeout) {
  const auto construct_options = find<ConstructOptions>(kOptionsConstructor);
  const auto construct_group = find<ConstructGroup>(kGroupConstructor);
  auto options = made<Options>(kOptionsBytes, [&](void* self) { construct_options(self, false); });
  options->timeout = timeout;
  return made<c10d::Backend>(kGroupBytes, [&](void* self) { construct_group(self, store, rank, size, options); });
}
