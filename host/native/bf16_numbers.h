// Numbers as they lie in memory, f32 or bf16, and as loops compute with them: f32.

#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>
#include <cstring>

inline float widened(float number) { return number; }

inline float widened(c10::BFloat16 number) {
  const uint32_t bits = static_cast<uint32_t>(number.x) << 16;
  float wide;
  std::memcpy(&wide, &bits, sizeof(wide));
  return wide;
}

inline void narrow(float number, float& to) { to = number; }

// To the nearest, of two the even one; what is not a number stays one. Without a branch, for vectors.
inline void narrow(float number, c10::BFloat16& to) {
  uint32_t bits;
  std::memcpy(&bits, &number, sizeof(bits));
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  to.x = static_cast<uint16_t>(number != number ? 0x7fc0 : rounded);
}
