"""What `Ideal` holds for a tensor: the value itself. The wrappers keep functions from using it as an array."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.mpc.kernel import Ring, Shape


@dataclass(slots=True, eq=False, repr=False)
class ClearArith:
    """Ring elements in clear."""

    ring: Ring

    @property
    def shape(self) -> Shape:
        """The shape."""
        return self.ring.shape


@dataclass(slots=True, eq=False, repr=False)
class ClearBits:
    """Bits in clear: uint8 of 0 and 1."""

    bits: NDArray[np.uint8]

    @property
    def shape(self) -> Shape:
        """The shape."""
        return self.bits.shape
