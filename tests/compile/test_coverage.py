"""What must not be refused: all that a comparable system supports, and every reducer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacit.compile.coverage import measure, page
from tacit.compile.coverage_cases import cases, missing

EXPECTED = [
    "abs",
    "add",
    "angle",
    "arccos",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "argmax",
    "argmin",
    "array_equal",
    "array_equiv",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "bitwise_and",
    "bitwise_count",
    "bitwise_not",
    "bitwise_or",
    "bitwise_xor",
    "ceil",
    "conj",
    "conjugate",
    "cos",
    "cosh",
    "deg2rad",
    "divide",
    "divmod",
    "ediff1d",
    "equal",
    "exp",
    "exp2",
    "expm1",
    "fabs",
    "float_power",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "greater",
    "greater_equal",
    "heaviside",
    "hypot",
    "imag",
    "invert",
    "isclose",
    "iscomplex",
    "isreal",
    "isrealobj",
    "kron",
    "left_shift",
    "less",
    "less_equal",
    "log",
    "log10",
    "log1p",
    "log2",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "maximum",
    "mean",
    "minimum",
    "mod",
    "modf",
    "multiply",
    "negative",
    "not_equal",
    "outer",
    "polyval",
    "positive",
    "power",
    "prod",
    "rad2deg",
    "ravel",
    "real",
    "reciprocal",
    "remainder",
    "right_shift",
    "rint",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "sqrt",
    "square",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "true_divide",
    "trunc",
    "unwrap",
    "sort",
    "median",
    "take",
    "arccosh",
    "arctanh",
    "cbrt",
    "copysign",
    "tan",
    "i0",
    "ldexp",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "max",
    "min",
    "amax",
    "amin",
    "std",
    "var",
    "average",
    "any",
    "all",
    "count_nonzero",
    "ptp",
    "nansum",
    "nanprod",
    "nanmax",
    "nanmin",
    "nanmean",
    "nanstd",
    "nanvar",
    "nanmedian",
    "nanargmax",
    "nanargmin",
    "quantile",
    "percentile",
    "nanquantile",
    "nanpercentile",
    "cumsum",
    "cumprod",
    "nancumsum",
    "nancumprod",
    "trapezoid",
    "trace",
    "cumulative_sum",
    "cumulative_prod",
]
ACTIVATIONS = [
    "celu",
    "elu",
    "gelu",
    "glu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "mish",
    "one_hot",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_sign",
    "softmax",
    "softplus",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "standardize",
    "swish",
    "tanh",
]
CASES = {(module, name): case for module, name, case in cases()}
LIMIT = 5e-3


@pytest.mark.parametrize("name", EXPECTED)
def test_numpy_function(name: str) -> None:
    row = measure("jax.numpy", name, CASES["jax.numpy", name])
    assert row.status != "refused", row.detail
    assert row.error < LIMIT


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    row = measure("jax.nn", name, CASES["jax.nn", name])
    assert row.status != "refused", row.detail
    assert row.error < LIMIT


@pytest.mark.parametrize("name", ["gcd", "nextafter", "polyfit", "trim_zeros"])
def test_refusals_say_why(name: str) -> None:
    row = measure("jax.numpy", name, CASES["jax.numpy", name])
    assert row.status == "refused"
    assert len(row.detail.split()) > 5


def test_every_function_is_run_or_public() -> None:
    assert missing() == []


def test_the_page_lists_every_row() -> None:
    rows = [measure(module, name, None) for module, name, _ in cases()]
    text = page(rows)
    assert all(f"| `{name}` |" in text for _, name, _ in cases())


def test_the_page_in_the_docs_names_every_function() -> None:
    """Its numbers come from running everything, which takes a minute: `python -m tacit.compile.coverage > docs/coverage.md`."""
    text = (Path(__file__).parents[2] / "docs" / "coverage.md").read_text()
    assert [name for _, name, _ in cases() if f"| `{name}` |" not in text] == []
