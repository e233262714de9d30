// A group of processes, as the C++ files share it.

#pragma once

#include <ATen/ATen.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

struct Group {
  c10::intrusive_ptr<c10d::Store> store;
  c10::intrusive_ptr<c10d::ProcessGroup> processes;

  // Sums over all ranks, in place.
  void sum(at::Tensor& tensor);
  // Every rank's tensor, one after the other along the first dimension.
  at::Tensor gather(const at::Tensor& tensor);
};
