"""What the elementary functions are tested with: exact values, and points over the whole of each domain."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tacit.primitive.mpc.function.contract import contract_of
from tacit.primitive.mpc.function.elementary import ELEMENTARY

erf = np.vectorize(math.erf, otypes=[np.float64])
erfc = np.vectorize(math.erfc, otypes=[np.float64])


def sigmoid(x):
    return 0.5 + np.tanh(x / 2) / 2


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu_exact(x):
    return x / 2 * (1 + erf(x / math.sqrt(2)))


@dataclass(frozen=True)
class Case:
    """A function of one real: its exact twin, and where to test it if not on all of its contract's interval."""

    name: str
    exact: Callable[[Any], Any]
    low: float | None = None
    high: float | None = None
    both_signs: bool = False
    """Whether the interval is one of |x|."""
    params: dict[str, Any] = field(default_factory=dict)

    @property
    def function(self):
        return ELEMENTARY[self.name]

    def interval(self, bits):
        limits = contract_of(self.function).domain.limits
        low, high = (self.low, self.high) if limits is None else limits(bits)[0]
        low = low if self.low is None else self.low
        high = high if self.high is None else self.high
        return max(low, -(2.0 ** (53 - bits))), min(high, 2.0 ** (53 - bits))

    def allowed(self, bits, x):
        with np.errstate(over="ignore"):
            return contract_of(self.function).error.limit(bits, self.exact(x), x)

    def __str__(self):
        return self.name + "".join(f"-{key}-{value}" for key, value in self.params.items())


CASES = [
    Case("sigmoid", sigmoid),
    Case("tanh", np.tanh),
    Case("erf", erf),
    Case("erfc", erfc),
    Case("gelu", gelu_tanh, -(2.0**20), 2.0**20, params={"approximate": True}),
    Case("gelu", gelu_exact, params={"approximate": False}),
    Case("silu", lambda x: x * sigmoid(x)),
    Case("softplus", lambda x: np.logaddexp(0, x)),
    Case("exp", np.exp, high=18.0),
    Case("exp2", np.exp2, high=25.99),
    Case("expm1", np.expm1, high=18.0),
    Case("log", np.log),
    Case("log2", np.log2),
    Case("log10", np.log10),
    Case("log1p", np.log1p),
    Case("reciprocal", lambda x: 1 / x, both_signs=True),
    Case("sqrt", np.sqrt),
    Case("rsqrt", lambda x: x**-0.5),
    Case("cbrt", np.cbrt),
    Case("sin", np.sin, -(2.0**24), 2.0**24),
    Case("cos", np.cos, -(2.0**24), 2.0**24),
    Case("tan", np.tan, -1.5, 1.5),
    Case("asin", np.arcsin),
    Case("acos", np.arccos),
    Case("atan", np.arctan, -(2.0**30), 2.0**30),
    Case("sinh", np.sinh),
    Case("cosh", np.cosh),
    Case("asinh", np.arcsinh),
    Case("acosh", np.arccosh),
    Case("atanh", np.arctanh),
]


def points(case: Case, bits: int) -> st.SearchStrategy[Any]:
    """Arrays over the case's interval: its ends, small numbers, and sizes spread over all octaves; multiples of an ulp."""
    low, high = case.interval(bits)
    ulp = 2.0**-bits
    near = st.floats(max(low, -20.0), min(high, 20.0))
    sizes = st.floats(-bits, math.log2(max(abs(low), abs(high)))).map(lambda e: 2.0**e)
    signed = st.tuples(sizes, st.sampled_from([-1.0, 1.0])).map(math.prod)
    one = st.one_of(near, signed, st.sampled_from([low, high, low + ulp, high - ulp, 0.0, ulp, -ulp, 1.0, -1.0]))

    def fitted(values):
        x = np.clip(np.round(np.array(values) / ulp) * ulp, low, high)
        x = np.where(x < low, np.ceil(low / ulp) * ulp, np.floor(x / ulp) * ulp if high < x.max() else x)
        if case.both_signs:
            x = np.where(np.array(values) < 0, -x, x)
        return x

    return st.lists(one, min_size=1, max_size=30).map(fitted)


def sweep(case: Case, bits: int, count: int) -> Any:
    """Many points, evenly over sizes and over the neighbourhood of 0."""
    low, high = case.interval(bits)
    ulp = 2.0**-bits
    ramp = (np.arange(count) * 0.6180339887498949) % 1.0
    sizes = 2.0 ** (-bits + ramp * (math.log2(max(abs(low), abs(high))) + bits))
    signs = np.where(np.arange(count) % 2, 1.0, -1.0)
    near = max(low, -20.0) + ramp * (min(high, 20.0) - max(low, -20.0))
    x = np.concatenate([sizes * (signs if low < 0 else 1.0), near])
    x = np.clip(np.round(x / ulp) * ulp, np.ceil(low / ulp) * ulp, np.floor(high / ulp) * ulp)
    return np.concatenate([x, -x]) if case.both_signs else x
