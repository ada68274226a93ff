"""What the coverage table runs: for each function of `jax.numpy` and `jax.nn`, a call on secret arguments.

A case is a function of secret arrays and those arrays. Functions that take no array (`arange`, `finfo`) or only look at shapes
are listed as public: nothing secret enters them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

Case: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...]]


def _reals(*shape: int, low: float = -3.0, high: float = 3.0) -> Any:
    """Numbers that look arbitrary and are the same everywhere."""
    count = int(np.prod(shape))
    spread = (np.arange(1, count + 1) * 0.6180339887498949 + 0.137) % 1.0
    return (low + (high - low) * spread).astype(np.float32).reshape(shape)


def _integers(*shape: int, low: int = 0, high: int = 20) -> Any:
    return np.floor(_reals(*shape, low=low, high=high)).astype(np.int32)


def _array(*values: float) -> Any:
    return np.array(values, np.float32)


V, W = _reals(6), _reals(6, low=-2.5, high=2.9)[::-1].copy()
M, N, S = _reals(3, 4), _reals(3, 4, low=-1, high=2), _reals(3, 3)
POSITIVE, UNIT, ABOVE = _reals(6, low=0.05, high=30), _reals(6, low=-0.95, high=0.95), _reals(6, low=1.1, high=20)
DIVISOR = _array(1.5, -0.7, 2.0, 0.3, -4.0, 10.0)
COUNTS, J, K = _integers(6), _integers(6, low=1, high=7), np.array([2, 0, 1], np.int32)
B, C = V > 0, W > 0.5

_ONE_REAL = [
    "abs",
    "absolute",
    "fabs",
    "negative",
    "positive",
    "square",
    "sin",
    "cos",
    "tan",
    "sinc",
    "sign",
    "signbit",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "round",
    "around",
    "exp",
    "exp2",
    "expm1",
    "tanh",
    "sinh",
    "cosh",
    "arctan",
    "atan",
    "arcsinh",
    "asinh",
    "cbrt",
    "deg2rad",
    "degrees",
    "radians",
    "rad2deg",
    "real",
    "imag",
    "conj",
    "conjugate",
    "angle",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "iscomplex",
    "isreal",
    "isrealobj",
    "iscomplexobj",
    "nan_to_num",
    "modf",
    "i0",
    "unwrap",
    "copy",
    "array",
    "asarray",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "ravel",
    "flip",
    "sort",
    "argsort",
    "cumsum",
    "cumprod",
    "cumulative_sum",
    "cumulative_prod",
    "nancumsum",
    "nancumprod",
    "diff",
    "ediff1d",
    "gradient",
    "trapezoid",
    "ptp",
    "diag",
    "diagflat",
    "vander",
    "poly",
    "roots",
    "trim_zeros",
    "spacing",
    "frexp",
    "sort_complex",
    "flipud",
    "argwhere",
    "flatnonzero",
    "nonzero",
    "unique",
    "unique_values",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "msort",
]
_REDUCERS = [
    "sum",
    "prod",
    "max",
    "min",
    "amax",
    "amin",
    "mean",
    "std",
    "var",
    "median",
    "argmax",
    "argmin",
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
    "average",
    "count_nonzero",
    "any",
    "all",
]
_TWO_REALS = [
    "add",
    "subtract",
    "multiply",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "arctan2",
    "atan2",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "copysign",
    "heaviside",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "equal",
    "not_equal",
    "isclose",
    "allclose",
    "array_equal",
    "array_equiv",
    "nextafter",
    "dot",
    "inner",
    "outer",
    "vdot",
    "vecdot",
    "convolve",
    "correlate",
    "kron",
    "polymul",
    "polyadd",
    "polysub",
    "append",
    "union1d",
    "intersect1d",
    "setdiff1d",
    "setxor1d",
    "isin",
]
_ONE_MATRIX = [
    "transpose",
    "matrix_transpose",
    "fliplr",
    "rot90",
    "trace",
    "tril",
    "triu",
    "cov",
    "corrcoef",
    "diagonal",
    "squeeze",
]
_DIVISIONS = ["divide", "true_divide", "floor_divide", "mod", "remainder", "fmod", "divmod"]
_TWO_INTEGERS = ["bitwise_and", "bitwise_or", "bitwise_xor", "gcd", "lcm"]
_TWO_TRUTHS = ["logical_and", "logical_or", "logical_xor"]

PUBLIC = frozenset(
    [
        "arange",
        "array_repr",
        "array_str",
        "bartlett",
        "blackman",
        "broadcast_shapes",
        "can_cast",
        "diag_indices",
        "diag_indices_from",
        "einsum_path",
        "empty",
        "empty_like",
        "eye",
        "from_dlpack",
        "frombuffer",
        "fromfile",
        "fromfunction",
        "fromiter",
        "fromstring",
        "full",
        "get_printoptions",
        "hamming",
        "hanning",
        "identity",
        "indices",
        "isdtype",
        "isscalar",
        "issubdtype",
        "iterable",
        "kaiser",
        "load",
        "mask_indices",
        "ndim",
        "ones",
        "ones_like",
        "printoptions",
        "promote_types",
        "result_type",
        "save",
        "savez",
        "set_printoptions",
        "shape",
        "size",
        "tri",
        "tril_indices",
        "tril_indices_from",
        "triu_indices",
        "triu_indices_from",
        "zeros",
        "zeros_like",
        "iscomplexobj",
        "isrealobj",
        "get_scaled_dot_general_config",
        "frompyfunc",
    ]
)
"""Functions whose result depends on shapes and dtypes alone."""

_NUMPY: dict[str, Case] = {
    "log": (jnp.log, (POSITIVE,)),
    "log2": (jnp.log2, (POSITIVE,)),
    "log10": (jnp.log10, (POSITIVE,)),
    "log1p": (jnp.log1p, (POSITIVE,)),
    "sqrt": (jnp.sqrt, (POSITIVE,)),
    "reciprocal": (jnp.reciprocal, (DIVISOR,)),
    "arcsin": (jnp.arcsin, (UNIT,)),
    "asin": (jnp.asin, (UNIT,)),
    "arccos": (jnp.arccos, (UNIT,)),
    "acos": (jnp.acos, (UNIT,)),
    "arctanh": (jnp.arctanh, (UNIT,)),
    "atanh": (jnp.atanh, (UNIT,)),
    "arccosh": (jnp.arccosh, (ABOVE,)),
    "acosh": (jnp.acosh, (ABOVE,)),
    "power": (jnp.power, (POSITIVE, UNIT)),
    "pow": (jnp.pow, (POSITIVE, UNIT)),
    "float_power": (jnp.float_power, (POSITIVE, UNIT)),
    "ldexp": (jnp.ldexp, (V, J)),
    "bitwise_not": (jnp.bitwise_not, (COUNTS,)),
    "bitwise_invert": (jnp.bitwise_invert, (COUNTS,)),
    "invert": (jnp.invert, (COUNTS,)),
    "bitwise_count": (jnp.bitwise_count, (COUNTS,)),
    "left_shift": (jnp.left_shift, (COUNTS, J)),
    "right_shift": (jnp.right_shift, (COUNTS, J)),
    "bitwise_left_shift": (jnp.bitwise_left_shift, (COUNTS, J)),
    "bitwise_right_shift": (jnp.bitwise_right_shift, (COUNTS, J)),
    "logical_not": (jnp.logical_not, (B,)),
    "clip": (lambda x: jnp.clip(x, -1, 1), (V,)),
    "where": (jnp.where, (B, V, W)),
    "select": (lambda b, c, x, y: jnp.select([b, c], [x, y], 0.5), (B, C, V, W)),
    "piecewise": (lambda x: jnp.piecewise(x, [x > 1, x < -1], [lambda v: 2 * v, 0.5]), (V,)),
    "choose": (lambda i, x, y, z: jnp.choose(i, [x, y, z], mode="clip"), (K, V[:3], W[:3], V[3:])),
    "percentile": (lambda x: jnp.percentile(x, 30), (V,)),
    "quantile": (lambda x: jnp.quantile(x, 0.7), (V,)),
    "nanpercentile": (lambda x: jnp.nanpercentile(x, 30), (V,)),
    "nanquantile": (lambda x: jnp.nanquantile(x, 0.7), (V,)),
    "partition": (lambda x: jnp.sort(jnp.partition(x, 3)[:3]), (V,)),
    "argpartition": (lambda x: jnp.sort(x[jnp.argpartition(x, 3)[:3]]), (V,)),
    "lexsort": (lambda x, y: jnp.lexsort((x, y)), (V, W)),
    "searchsorted": (lambda x: jnp.searchsorted(_array(-1, 0, 1), x), (V,)),
    "digitize": (lambda x: jnp.digitize(x, _array(-1, 0, 1)), (V,)),
    "histogram": (lambda x: jnp.histogram(x, _array(-3, -1, 0, 3)), (V,)),
    "histogram2d": (lambda x, y: jnp.histogram2d(x, y, [_array(-3, 0, 3)] * 2)[0], (V, W)),
    "histogramdd": (lambda x: jnp.histogramdd(x, [_array(-3, 0, 3)] * 4)[0], (M,)),
    "histogram_bin_edges": (lambda x: jnp.histogram_bin_edges(x, 4), (V,)),
    "bincount": (lambda i: jnp.bincount(i, length=20), (COUNTS,)),
    "interp": (lambda x: jnp.interp(x, _array(-3, 0, 3), _array(1, -1, 2)), (V,)),
    "polyval": (jnp.polyval, (V[:3], W)),
    "polyder": (jnp.polyder, (V,)),
    "polyint": (jnp.polyint, (V,)),
    "polydiv": (jnp.polydiv, (V, DIVISOR[:2])),
    "polyfit": (lambda x, y: jnp.polyfit(x, y, 1), (V, W)),
    "nonzero": (lambda x: jnp.nonzero(x > 0, size=4), (V,)),
    "flatnonzero": (lambda x: jnp.flatnonzero(x > 0, size=4), (V,)),
    "argwhere": (lambda x: jnp.argwhere(x > 0, size=4), (V,)),
    "unique": (lambda i: jnp.unique(i, size=6), (J,)),
    "unique_values": (lambda i: jnp.unique_values(i, size=6), (J,)),
    "unique_all": (lambda i: jnp.unique_all(i, size=6), (J,)),
    "unique_counts": (lambda i: jnp.unique_counts(i, size=6), (J,)),
    "unique_inverse": (lambda i: jnp.unique_inverse(i, size=6), (J,)),
    "union1d": (lambda x, y: jnp.union1d(x, y, size=12), (COUNTS, J)),
    "intersect1d": (lambda x, y: jnp.intersect1d(x, y, size=6), (COUNTS, J)),
    "setdiff1d": (lambda x, y: jnp.setdiff1d(x, y, size=6), (COUNTS, J)),
    "setxor1d": (lambda x, y: jnp.setxor1d(x, y, size=12), (COUNTS, J)),
    "isin": (jnp.isin, (COUNTS, J)),
    "extract": (lambda b, x: jnp.extract(b, x, size=4, fill_value=0), (B, V)),
    "compress": (lambda b, x: jnp.compress(b, x, size=4, fill_value=0), (B, V)),
    "place": (lambda x, b: jnp.place(x, b, _array(1, 2), inplace=False), (V, B)),
    "put": (lambda x, i: jnp.put(x, i, 1.5, inplace=False), (V, K)),
    "put_along_axis": (lambda x, i: jnp.put_along_axis(x, i[:, None], 9.0, 1, inplace=False), (M, K)),
    "take": (lambda x, i: jnp.take(x, i, axis=0), (M, K)),
    "take_along_axis": (lambda x, i: jnp.take_along_axis(x, i[:, None], 1), (M, K)),
    "delete": (lambda x: jnp.delete(x, np.array([1, 2])), (V,)),
    "insert": (lambda x: jnp.insert(x, 2, 1.5), (V,)),
    "resize": (lambda x: jnp.resize(x, (2, 5)), (V,)),
    "fill_diagonal": (lambda x: jnp.fill_diagonal(x, 1.0, inplace=False), (S,)),
    "full_like": (lambda x: jnp.full_like(x, x[0]), (V,)),
    "linspace": (lambda x, y: jnp.linspace(x[0], y[0], 5), (V, W)),
    "logspace": (lambda x, y: jnp.logspace(x[0], y[0], 5), (UNIT, UNIT[::-1].copy())),
    "geomspace": (lambda x: jnp.geomspace(x[0], x[1], 5), (ABOVE,)),
    "packbits": (jnp.packbits, (B,)),
    "unpackbits": (jnp.unpackbits, (_integers(2, high=250).astype(np.uint8),)),
    "ravel_multi_index": (lambda i, j: jnp.ravel_multi_index((i, j), (4, 5), mode="clip"), (K, K[::-1].copy())),
    "unravel_index": (lambda i: jnp.unravel_index(i, (4, 5)), (COUNTS,)),
    "convolve": (jnp.convolve, (V, W[:3])),
    "correlate": (jnp.correlate, (V, W[:3])),
    "matmul": (jnp.matmul, (M, N.T.copy())),
    "matvec": (jnp.matvec, (M, W[:4])),
    "vecmat": (jnp.vecmat, (V[:3], M)),
    "tensordot": (lambda x, y: jnp.tensordot(x, y, 2), (M, N)),
    "einsum": (lambda x, y: jnp.einsum("ij,kj->ik", x, y), (M, N)),
    "cross": (jnp.cross, (V[:3], W[:3])),
    "concatenate": (lambda x, y: jnp.concatenate([x, y]), (M, N)),
    "concat": (lambda x, y: jnp.concat([x, y]), (M, N)),
    "stack": (lambda x, y: jnp.stack([x, y]), (M, N)),
    "hstack": (lambda x, y: jnp.hstack([x, y]), (M, N)),
    "vstack": (lambda x, y: jnp.vstack([x, y]), (M, N)),
    "dstack": (lambda x, y: jnp.dstack([x, y]), (M, N)),
    "column_stack": (lambda x, y: jnp.column_stack([x, y]), (V, W)),
    "block": (lambda x, y: jnp.block([[x, y], [y, x]]), (M, N)),
    "split": (lambda x: jnp.split(x, 2), (V,)),
    "array_split": (lambda x: jnp.array_split(x, 4), (V,)),
    "hsplit": (lambda x: jnp.hsplit(x, 2), (M,)),
    "vsplit": (lambda x: jnp.vsplit(x, 3), (M,)),
    "dsplit": (lambda x: jnp.dsplit(x.reshape(1, 3, 4), 2), (M,)),
    "unstack": (jnp.unstack, (M,)),
    "permute_dims": (lambda x: jnp.permute_dims(x, (1, 0)), (M,)),
    "roots": (lambda x: jnp.roots(x, strip_zeros=False), (V,)),
    "reshape": (lambda x: jnp.reshape(x, (4, 3)), (M,)),
    "expand_dims": (lambda x: jnp.expand_dims(x, 1), (M,)),
    "swapaxes": (lambda x: jnp.swapaxes(x, 0, 1), (M,)),
    "moveaxis": (lambda x: jnp.moveaxis(x, 0, 1), (M,)),
    "rollaxis": (lambda x: jnp.rollaxis(x, 1), (M,)),
    "roll": (lambda x: jnp.roll(x, 2, 1), (M,)),
    "repeat": (lambda x: jnp.repeat(x, 2, 1), (M,)),
    "tile": (lambda x: jnp.tile(x, 2), (M,)),
    "pad": (lambda x: jnp.pad(x, 1, mode="reflect"), (M,)),
    "broadcast_to": (lambda x: jnp.broadcast_to(x, (2, 6)), (V,)),
    "broadcast_arrays": (lambda x, y: jnp.broadcast_arrays(x, y[:, None]), (V, W)),
    "meshgrid": (jnp.meshgrid, (V, W)),
    "ix_": (lambda i: jnp.ix_(i, i), (K,)),
    "astype": (lambda x: jnp.astype(x, jnp.int32), (V,)),
    "apply_along_axis": (lambda x: jnp.apply_along_axis(jnp.sum, 0, x), (M,)),
    "apply_over_axes": (lambda x: jnp.apply_over_axes(jnp.sum, x, [0]), (M,)),
    "vectorize": (jnp.vectorize(lambda v: v * 2), (M,)),
    "ufunc": (jnp.add.outer, (V, W)),
}

_NN: dict[str, Case] = {
    "one_hot": (lambda i: jax.nn.one_hot(i, 4), (K,)),
    "log1mexp": (jax.nn.log1mexp, (POSITIVE,)),
    "glu": (jax.nn.glu, (M,)),
    "dot_product_attention": (
        jax.nn.dot_product_attention,
        tuple(_reals(1, 3, 2, 4, low=-1 - n, high=1.0) for n in range(3)),
    ),
    "scaled_matmul": (jax.nn.scaled_matmul, (_reals(1, 2, 4), _reals(1, 3, 4), _reals(1, 2, 1), _reals(1, 3, 1))),
    "scaled_dot_general": (lambda x, y: jax.nn.scaled_dot_general(x, y, (((1,), (1,)), ((), ()))), (M, N)),
}


def cases() -> Iterator[tuple[str, str, Case | None]]:
    """(module, name, case) of every public function; None where nothing secret enters it."""
    table: dict[str, Case] = {name: (getattr(jnp, name), (V,)) for name in _ONE_REAL if hasattr(jnp, name)}
    table.update({name: (getattr(jnp, name), (V > 0 if name in {"any", "all"} else V,)) for name in _REDUCERS})
    table.update({name: (getattr(jnp, name), (V, W)) for name in _TWO_REALS if hasattr(jnp, name)})
    table.update({name: (getattr(jnp, name), (M,)) for name in _ONE_MATRIX})
    table.update({name: (getattr(jnp, name), (V, DIVISOR)) for name in _DIVISIONS})
    table.update({name: (getattr(jnp, name), (COUNTS, J)) for name in _TWO_INTEGERS})
    table.update({name: (getattr(jnp, name), (B, C)) for name in _TWO_TRUTHS})
    table.update(_NUMPY)
    for name in public_functions(jnp):
        yield "jax.numpy", name, None if name in PUBLIC else table.get(name)
    for name in public_functions(jax.nn):
        default = (getattr(jax.nn, name), (V,))
        yield "jax.nn", name, None if name in PUBLIC else _NN.get(name, default)


def public_functions(module: Any) -> list[str]:
    """The names of a module's public functions, types left out."""
    names = [name for name in dir(module) if not name.startswith("_")]
    return [name for name in names if callable(getattr(module, name)) and not isinstance(getattr(module, name), type)
            and type(getattr(module, name)).__name__ != "_ScalarMeta"]  # fmt: skip


def missing() -> list[str]:
    """Functions that are neither run nor public: the table must name them."""
    return [f"{module}.{name}" for module, name, case in cases() if case is None and name not in PUBLIC]
