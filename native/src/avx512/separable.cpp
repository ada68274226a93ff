// The separable kernels for AVX-512.
#define TACIT_SEPARABLE_SET avx512
#include "separable_loops.hpp"
