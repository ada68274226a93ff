"""What the parties of `Assisted` hold for a shared tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tacit.primitive.driver import Deferred
from tacit.primitive.mpc.kernel import Ring, Shape


@dataclass(slots=True)
class Digits:
    """Shares of the one-hot digit planes of a mask and of its top bit (see `compare.py`).

    `planes` is [H + 1, words]: this compute party's boolean share; None at the helper, which knows the mask itself.
    """

    planes: Ring | None


@dataclass(slots=True)
class Mask:
    """r of an opened value X = x + r: a share at a compute party (None is zero), the whole at the helper."""

    value: Ring | None
    digits: Digits | None = None
    dealing: Deferred | None = field(default=None, repr=False)


@dataclass(slots=True)
class Opened:
    """X = x + r, known to both compute parties (None at the helper), with its mask."""

    value: Ring | None
    mask: Mask
    planes: Ring | None = None  # bits of X as planes, made on first use


@dataclass(slots=True, eq=False)
class Additive:
    """A shared tensor: an additive share, or an opened value from which the share follows."""

    shape: Shape
    _share: Ring | None = None
    opened: Opened | None = None
    opening: Deferred | None = field(default=None, repr=False)
    base: tuple[Additive, Ring] | None = field(default=None, repr=False)
    """(y, c) where this is y + c for a public c of the same shape: one opening serves both."""

    def share(self, leader: bool, local: Any) -> Ring:
        """This compute party's additive share: X - r_0 at the leader, -r_1 at the follower."""
        if self._share is None:
            opened = self.opened
            assert opened is not None
            mask = opened.mask.value
            if leader:
                assert opened.value is not None
                self._share = opened.value if mask is None else local.sub(opened.value, mask)
            else:
                self._share = local.zeros(*self.shape) if mask is None else local.neg(mask)
        return self._share

    def __repr__(self) -> str:
        return f"Additive(shape={self.shape}, opened={self.opened is not None})"


@dataclass(slots=True, eq=False)
class Packed:
    """A tensor of shared bits: packed words whose XOR over the compute parties is the value; None at the helper."""

    shape: Shape
    words: Ring | None

    @property
    def size(self) -> int:
        """Number of bits."""
        size = 1
        for extent in self.shape:
            size *= extent
        return size

    def __repr__(self) -> str:
        return f"Packed(shape={self.shape})"
