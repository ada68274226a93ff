"""Range sentinels: the true size of every intermediate, even where the ring has wrapped.

The ring shows a value modulo 2**64 only. So a sentinel computes beside it, on operands that leave room: products of
the leading bits of their operands, and linear maps of the high and low halves. What it reports is therefore what the
value would have been, and |value| >= 2**62 means that the program has left the domain of comparison and truncation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.mpc.kernel import Bilinear, Linear, Ring
from tacit.primitive.profile import Where

Watch = Callable[[str, str, float], None]
"""Receives the operation's name, the user's source line, and the largest |value| of a result in ring units."""

_LOW = np.uint64(2**32 - 1)
_LEADING = 21


class Sentinel:
    """Measures results and reports them to a `Watch`."""

    def __init__(self, watch: Watch, where: Callable[[], Where]) -> None:
        self._watch = watch
        self._where = where

    def ring(self, values: Ring) -> None:
        """Report a result that cannot have wrapped, or whose true size is unknown."""
        self.real(signed(values))

    def real(self, values: Any) -> None:
        """Report true values."""
        size = float(np.max(np.abs(np.asarray(values, np.float64)), initial=0.0))
        where = self._where()
        self._watch(where.name, where.line, size)

    def linear(self, function: Linear, *xs: Ring) -> None:
        """Report a linear map: f(2**32 h + l) = 2**32 f(h) + f(l), with halves that have room to grow 2**31 times."""
        high = function(*[(x.view(np.int64) >> np.int64(32)).view(np.uint64) for x in xs])
        low = function(*[x & _LOW for x in xs])
        self.real(signed(high) * 2.0**32 + signed(low))

    def product(self, form: Bilinear, local: Any, x: Ring, y: Ring) -> None:
        """Report a product before its truncation, to about six digits: from the 21 leading bits of the largest operands."""
        left, left_bits = _leading(x)
        right, right_bits = _leading(y)
        self.real(np.ldexp(signed(form.apply(local, left, right)), left_bits + right_bits))


def signed(ring: Any) -> NDArray[np.float64]:
    """Two's complement ring elements as floating-point numbers."""
    return np.ascontiguousarray(ring, np.uint64).view(np.int64).astype(np.float64)


def _leading(ring: Ring) -> tuple[Ring, int]:
    """ring = leading * 2**bits, rounded, with |leading| <= 2**21."""
    size = float(np.max(np.abs(signed(ring)), initial=0.0))
    bits = max(0, int(np.frexp(size)[1]) - _LEADING)
    if not bits:
        return ring, 0
    return (((ring.view(np.int64) >> np.int64(bits - 1)) + 1) >> 1).view(np.uint64), bits
