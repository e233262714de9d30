// Where the large tensors of the CPU lie: in a range of addresses of their own. The C library's heap puts small blocks that stay
// between large ones that go, so that a step's heap grows to up to twice what it holds; here what is freed is joined with its neighbours and
// serves the next step as it is, in large pages. Called by host/src/native/memory.rs alone.

#include "guarded.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>

namespace {

constexpr size_t kLarge = 256 << 10;  // smaller ones are the C library's

size_t page() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// Free and used parts of a range; the smallest free part that fits is taken, the lowest of those.
class Range {
 public:
  // Addresses without memory behind them, which comes as they are written to. Null where the system gives none.
  static char* reserve(size_t bytes) {
    void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return nullptr;
    madvise(base, bytes, MADV_HUGEPAGE);  // where the system has them
    return static_cast<char*>(base);
  }

  Range(char* base, size_t bytes) : base_(base), bytes_(bytes) { put(0, bytes); }

  bool has(const void* pointer) const { return pointer >= base_ && pointer < base_ + bytes_; }

  // Null where nothing fits.
  void* take(size_t bytes) {
    const size_t size = (bytes + page() - 1) / page() * page();
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = by_size_.lower_bound({size, 0});
    if (found == by_size_.end()) return nullptr;
    const auto [whole, at] = *found;
    by_size_.erase(found);
    by_place_.erase(at);
    if (whole > size) put(at + size, whole - size);
    used_[at] = size;
    return base_ + at;
  }

  void give_back(void* pointer) {
    std::lock_guard<std::mutex> lock(mutex_);
    size_t at = static_cast<char*>(pointer) - base_;
    const auto entry = used_.find(at);
    size_t size = entry->second;
    used_.erase(entry);
    auto after = by_place_.lower_bound(at);
    if (after != by_place_.end() && after->first == at + size) {
      size += after->second;
      by_size_.erase({after->second, after->first});
      after = by_place_.erase(after);
    }
    if (after != by_place_.begin()) {
      const auto before = std::prev(after);
      if (before->first + before->second == at) {
        at = before->first;
        size += before->second;
        by_size_.erase({before->second, before->first});
        by_place_.erase(before);
      }
    }
    put(at, size);
  }

  // Gives the memory behind free parts to the system; their addresses stay.
  void let_go() {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [at, size] : by_place_) madvise(base_ + at, size, MADV_DONTNEED);
  }

 private:
  void put(size_t at, size_t size) {
    by_place_.emplace(at, size);
    by_size_.emplace(size, at);
  }

  char* const base_;
  const size_t bytes_;
  std::mutex mutex_;
  std::map<size_t, size_t> by_place_;              // free: where, how large
  std::set<std::pair<size_t, size_t>> by_size_;    // the same, by size
  std::unordered_map<size_t, size_t> used_;
};

Range* range = nullptr;  // set once, before there are tensors

void release(void* pointer) {
  if (range->has(pointer)) {
    range->give_back(pointer);
  } else {
    c10::free_cpu(pointer);
  }
}

struct Allocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* pointer = bytes >= kLarge ? range->take(bytes) : nullptr;
    if (!pointer) pointer = c10::alloc_cpu(bytes);
    return {pointer, pointer, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  void copy_data(void* to, const void* from, std::size_t count) const override { default_copy_data(to, from, count); }
};

}  // namespace

extern "C" {

// From now on, for the whole process: a second call changes nothing. Where addresses are limited, or the system gives none, everything
// stays the C library's.
void infomax_keep_large_tensors_apart() {
  static std::once_flag once;
  std::call_once(once, [] {
    rlimit addresses{};
    if (getrlimit(RLIMIT_AS, &addresses) != 0 || addresses.rlim_cur != RLIM_INFINITY) return;
    // As much as the machine has: what is larger is refused by the C library at once, in place of a kill as it is written to.
    const size_t bytes = static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * page();
    char* base = Range::reserve(bytes);
    if (!base) return;
    static Allocator allocator;
    range = new Range(base, bytes);
    c10::SetCPUAllocator(&allocator, 1);
  });
}

// Gives freed memory to the system.
void infomax_let_freed_memory_go() {
  if (range) range->let_go();
}

}  // extern "C"
