"""What functions compute on: shared numbers with their scale, shared integers, shared truth values, and public arrays.

A public operand is a NumPy array (float64, int64 or bool) known to every party.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.mpc.kernel import Arith, Bits, Shape


@dataclass(frozen=True, slots=True)
class Fixed:
    """A shared real number: ring element / 2**bits, |value| < 2**(62 - bits)."""

    share: Arith
    bits: int

    @property
    def shape(self) -> Shape:
        """The shape, public."""
        return self.share.shape


@dataclass(frozen=True, slots=True)
class Integer:
    """A shared integer, |value| < 2**62."""

    share: Arith

    @property
    def shape(self) -> Shape:
        """The shape, public."""
        return self.share.shape


@dataclass(frozen=True, slots=True)
class Boolean:
    """A shared truth value."""

    share: Bits

    @property
    def shape(self) -> Shape:
        """The shape, public."""
        return self.share.shape


Public: TypeAlias = NDArray[np.float64] | NDArray[np.int64] | NDArray[np.bool_]
Secret: TypeAlias = Fixed | Integer | Boolean
Value: TypeAlias = Secret | Public
