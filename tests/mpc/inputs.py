"""Inputs for property tests: arrays of every small shape, with the extremes of a domain, exact at their fraction bits."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from worlds import BITS

SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
FULL = hnp.array_shapes(min_dims=0, max_dims=3, min_side=1, max_side=4)
LARGEST = 2**62 - 1
HALF = 2**61 - 1
"""Ring elements of which any two differ by less than 2**62."""


def integers(limit: int = HALF, shape: Any = SHAPES) -> st.SearchStrategy[Any]:
    """int64 arrays with |x| <= limit, small ones and the extremes among them."""
    some = st.one_of(st.integers(-limit, limit), st.integers(-4, 4), st.sampled_from([-limit, limit]))
    return hnp.arrays(np.int64, shape, elements=some.filter(lambda v: abs(v) <= limit))


def reals(limit: float, shape: Any = SHAPES, bits: int = BITS) -> st.SearchStrategy[Any]:
    """float64 arrays of multiples of 2**-bits with |x| <= limit; limit * 2**bits stays below 2**53 to be exact."""
    return integers(int(min(limit * 2**bits, 2**53)), shape).map(lambda ring: ring / 2.0**bits)


def truths(shape: Any = SHAPES) -> st.SearchStrategy[Any]:
    """Boolean arrays."""
    return hnp.arrays(np.bool_, shape)


@st.composite
def pairs(draw: Any, left: Any, right: Any = None, *, min_side: int = 0) -> tuple[Any, Any]:
    """Two arrays whose shapes broadcast; `left` and `right` make a strategy from a shape."""
    shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, min_side=min_side, max_side=4))
    return draw(left(shapes.input_shapes[0])), draw((right or left)(shapes.input_shapes[1]))


def ring(values: Any, bits: int = BITS) -> Any:
    """Reals as exact integers of 2**-bits, as Python objects that never overflow."""
    return np.vectorize(lambda v: round(float(v) * 2**bits), otypes=[object])(np.asarray(values))
