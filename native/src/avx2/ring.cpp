// The ring kernels for AVX2; a 64-bit product is three 32-bit ones.
#define TACIT_RING_SET avx2
#include "ring_loops.hpp"
