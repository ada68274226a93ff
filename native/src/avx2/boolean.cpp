#include "../boolean_kernels.hpp"
#include "simd.hpp"

namespace tacit {

constinit const BooleanKernels avx2_boolean = Boolean<Avx2>::table();

}  // namespace tacit
