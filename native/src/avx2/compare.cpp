#include "../compare_kernels.hpp"
#include "simd.hpp"

namespace tacit {

constinit const CompareKernels avx2_compare = Compare<Avx2>::table();

}  // namespace tacit
