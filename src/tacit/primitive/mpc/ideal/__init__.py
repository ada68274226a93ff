"""`Ideal`: the bit-faithful plaintext reference, the oracle of every test and of range analysis. No security at all."""

from tacit.primitive.mpc.ideal.kernel import IdealKernel
from tacit.primitive.mpc.ideal.share import ClearArith, ClearBits
from tacit.primitive.mpc.ideal.watch import Watch

__all__ = ["ClearArith", "ClearBits", "IdealKernel", "Watch"]
