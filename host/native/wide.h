// Loops for the vectors that a processor has: compiled for each, chosen as the program starts.

#pragma once

#if defined(__x86_64__) && defined(__has_attribute)
#if __has_attribute(target_clones)
#define INFOMAX_WIDE __attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3")))
#endif
#endif
#ifndef INFOMAX_WIDE
#define INFOMAX_WIDE
#endif

// What functions of several widths are made of.
#define INFOMAX_INLINE static inline __attribute__((always_inline))
