// What every function of the C interface goes through: exceptions become messages.

#pragma once

#include <ATen/ATen.h>

#include <cstring>
#include <exception>
#include <vector>

// The tensors behind borrowed pointers.
inline std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; ++i) result.push_back(*tensors[i]);
  return result;
}

// Null, or the message of what `call` threw, which the caller frees with infomax_free.
template <typename Call>
char* guarded(Call call) {
  try {
    call();
    return nullptr;
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception that is not a std::exception");
  }
}
