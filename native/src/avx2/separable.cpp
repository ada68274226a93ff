// The separable kernels for AVX2.
#define TACIT_SEPARABLE_SET avx2
#include "separable_loops.hpp"
