#!/usr/bin/env bash
# One would guess that in libtorch's C++ every factory function makes a tensor as its `TensorOptions` say: of their type, on their
# device, in their memory format; or that it refuses, as `torch.zeros(..., memory_format=...)` does in Python.
# What happens: of six functions, `at::empty` alone takes the memory format. `zeros`, `ones`, `full`, `rand` and `randn` return maps
# with channels first, and say nothing. `.zero_()` of an `empty`, and the functions that take a tensor to be like, keep the format.
# Version: torch 2.11.0's Linux wheel, g++ of the system. Source: the overloads with `TensorOptions` in ATen/ops/zeros.h and its
# neighbours, which pass type, layout, device and pinning on; Python's side is pytorch/pytorch issue 48845.
# Why it matters: a kernel that reads or writes such maps through a pointer, as one for channels-last does, puts every number in
# another one's place. Sizes, sums and norms are right all the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check --no-deps torch==2.11.0 nvidia-cuda-runtime==13.0.96 \
    nvidia-cuda-cupti==13.0.85
torch=$(echo "$folder"/venv/lib/python3*/site-packages/torch)
cuda=$(echo "$folder"/venv/lib/python3*/site-packages/nvidia/cu13/lib)
cat > "$folder/formats.cpp" <<'CODE'
#include <ATen/ATen.h>

#include <cstdio>
#include <vector>

int main() {
  const auto last = at::MemoryFormat::ChannelsLast;
  const auto options = at::TensorOptions().dtype(at::kFloat).memory_format(last);
  const std::vector<int64_t> size{2, 3, 4, 5};
  const auto like = at::empty(size, options);
  const auto told = [&](const char* name, const at::Tensor& maps) {
    std::printf("%s %s\n", name, maps.is_contiguous(last) ? "last" : "first");
  };
  told("empty", at::empty(size, options));
  told("zeros", at::zeros(size, options));
  told("ones", at::ones(size, options));
  told("full", at::full(size, 3.0, options));
  told("rand", at::rand(size, options));
  told("randn", at::randn(size, options));
  told("empty.zero_", at::empty(size, options).zero_());
  told("zeros_like", at::zeros_like(like));
}
CODE
g++ -std=c++17 -O1 -w -I"$torch/include" "$folder/formats.cpp" -o "$folder/formats" -L"$torch/lib" -Wl,-rpath,"$torch/lib" \
    -ltorch_cpu -lc10 "$torch"/lib/libgomp.so.1 -Wl,--unresolved-symbols=ignore-in-shared-libs
seen=$(LD_LIBRARY_PATH="$cuda" "$folder/formats")
wanted="empty last
zeros first
ones first
full first
rand first
randn first
empty.zero_ last
zeros_like last"
echo "torch 2.11.0, $(g++ --version | head -1)"
echo "$seen"
if [ "$seen" != "$wanted" ]; then
    echo "the behaviour is another one now"
    exit 1
fi
