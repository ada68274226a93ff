// The ring kernels for AVX-512, whose DQ part has the 64-bit product.
#define TACIT_RING_SET avx512
#include "ring_loops.hpp"
