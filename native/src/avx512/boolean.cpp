#include "../boolean_kernels.hpp"
#include "simd.hpp"

namespace tacit {

constinit const BooleanKernels avx512_boolean = Boolean<Avx512>::table();

}  // namespace tacit
