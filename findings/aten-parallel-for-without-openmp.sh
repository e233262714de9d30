#!/usr/bin/env bash
# One would guess that `at::parallel_for` in a program that links libtorch runs on libtorch's threads, as `at::get_num_threads()`
# counts them.
# What happens: it is a template in a header, and a plain loop on one thread where the caller itself is not compiled with -fopenmp.
# Nothing warns, everything links, and `at::get_num_threads()`, which is in the library, says 2 all the same. The same source with
# -fopenmp runs on both.
# Version: torch 2.11.0's Linux wheel, g++ of the system. Source: `invoke_parallel` in ATen/ParallelOpenMP.h.
# Why it matters: kernels of an extension stand on one core, at half the speed or less, while every question about threads is
# answered as if they did not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps torch==2.11.0 nvidia-cuda-runtime==13.0.96 \
    nvidia-cuda-cupti==13.0.85
torch=$(echo "$folder"/venv/lib/python3*/site-packages/torch)
cuda=$(echo "$folder"/venv/lib/python3*/site-packages/nvidia/cu13/lib)
cat > "$folder/threads.cpp" <<'CODE'
#include <ATen/Parallel.h>

#include <chrono>
#include <cstdio>
#include <mutex>
#include <set>
#include <thread>

int main() {
  at::set_num_threads(2);
  std::mutex mutex;
  std::set<std::thread::id> seen;
  at::parallel_for(0, 8, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    std::lock_guard<std::mutex> lock(mutex);
    seen.insert(std::this_thread::get_id());
  });
  std::printf("get_num_threads %d, threads that ran %zu\n", at::get_num_threads(), seen.size());
}
CODE
told() { # by a compiler's flags
    g++ -std=c++17 -O1 -w $1 -I"$torch/include" "$folder/threads.cpp" -o "$folder/threads" -L"$torch/lib" -Wl,-rpath,"$torch/lib" \
        -ltorch_cpu -lc10 "$torch"/lib/libgomp.so.1 -Wl,--unresolved-symbols=ignore-in-shared-libs
    LD_LIBRARY_PATH="$cuda" "$folder/threads"
}
without=$(told "")
with=$(told "-fopenmp")
echo "torch 2.11.0, $(g++ --version | head -1)"
echo "without -fopenmp: $without"
echo "with -fopenmp:    $with"
if [ "$without" != "get_num_threads 2, threads that ran 1" ] || [ "$with" != "get_num_threads 2, threads that ran 2" ]; then
    echo "the behaviour is another one now"
    exit 1
fi
