"""What a party of `Replicated` holds for a shared tensor: two of three components.

A value is the sum (for bits: the XOR) of components 0, 1 and 2. Party i holds components i and i + 1 modulo 3, so each
component is held by two parties, each party lacks one, and any two parties know the value.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tacit.primitive.mpc.kernel import Ring, Shape


@dataclass(slots=True, repr=False)
class RingShare:
    """A shared tensor of ring elements: the party's own component and the next one, each of the tensor's shape."""

    own: Ring
    next: Ring

    @property
    def shape(self) -> Shape:
        """The shape, public."""
        return self.own.shape

    def __repr__(self) -> str:
        return f"RingShare(shape={self.shape})"


@dataclass(slots=True, repr=False)
class BitShare:
    """A tensor of shared bits: two components as packed words, in the order of the flattened tensor.

    Bits beyond `size` in the last word mean nothing: they depend on shapes and public values only.
    """

    shape: Shape
    own: Ring
    next: Ring

    @property
    def size(self) -> int:
        """Number of bits."""
        return prod(self.shape)

    def __repr__(self) -> str:
        return f"BitShare(shape={self.shape})"
