#include "../compare_kernels.hpp"
#include "simd.hpp"

namespace tacit {

constinit const CompareKernels avx512_compare = Compare<Avx512>::table();

}  // namespace tacit
