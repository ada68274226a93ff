"""The operations that lowering rules are written in: one typed function for each step, with shape inference.

Each appends a step (or computes at once when all operands are concrete) and applies the identities that need no
analysis: x + 0, x * 1, max(x, -inf), and the like.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tacit.compile.front.jax.builder import Builder, Operand, Ref, at, kind_of
from tacit.compile.program import Kind, Shape, Step
from tacit.foundation.errors import UnsupportedOperation

# --- what an operand is ---------------------------------------------------------------------------------------------


def kind(x: Operand) -> Kind:
    """fixed, int or bool."""
    return x.type.kind if isinstance(x, Ref) else kind_of(x.dtype)


def dtype(x: Operand) -> str:
    """The front end's dtype name."""
    return x.type.dtype if isinstance(x, Ref) else str(x.dtype)


def is_secret(x: Operand) -> bool:
    """Say whether x is neither concrete nor public at run time."""
    return isinstance(x, Ref) and not x.type.public


def known(x: Operand) -> bool:
    """Say whether x is a concrete array."""
    return not isinstance(x, Ref)


def is_all(x: Operand, value: float) -> bool:
    """Say whether x is a concrete array with every element equal to `value`."""
    return not isinstance(x, Ref) and x.size > 0 and bool(np.all(x == value))


def joint(x: Operand, y: Operand) -> tuple[Kind, str]:
    """Kind and dtype of a product of two operands."""
    return _result(x, y)


def producer(b: Builder, x: Operand) -> Step | None:
    """The step that wrote a slot, if it is one of the last few."""
    if not isinstance(x, Ref):
        return None
    return next((step for step in b.steps[:-17:-1] if x.slot in step.outputs), None)


def number(value: float, like: Operand) -> Operand:
    """A scalar constant of the kind of another operand."""
    return np.asarray(value, {"fixed": np.float64, "int": np.int64, "bool": np.bool_}[kind(like)])


# --- arithmetic -----------------------------------------------------------------------------------------------------


def add(b: Builder, x: Operand, y: Operand) -> Operand:
    """x + y."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    if is_all(y, 0) and x.shape == shape:
        return x
    if is_all(x, 0) and y.shape == shape:
        return y
    return b.emit("add", _alike(b, x, y), shape, *_result(x, y))


def sub(b: Builder, x: Operand, y: Operand) -> Operand:
    """x - y."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    if is_all(y, 0) and x.shape == shape:
        return x
    if is_all(x, 0) and y.shape == shape:
        return neg(b, y)
    return b.emit("sub", _alike(b, x, y), shape, *_result(x, y))


def neg(b: Builder, x: Operand) -> Operand:
    """-x."""
    return b.emit("neg", [x], x.shape, kind(x), dtype(x))


def mul(b: Builder, x: Operand, y: Operand) -> Operand:
    """x * y; a truth value times a number is a selection."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    for one, other in ((x, y), (y, x)):
        if is_all(one, 1) and other.shape == shape:
            return other
        if is_all(one, -1) and other.shape == shape:
            return neg(b, other)
        if is_all(one, 0):
            return np.zeros(shape, _numpy(other))
    if isinstance(x, Ref) and isinstance(y, Ref) and x.slot == y.slot:
        return square(b, x)
    if kind(x) == "bool" and kind(y) == "bool":
        return logical(b, "logical_and", x, y)
    return b.emit("mul", [x, y], shape, *_result(x, y))


def square(b: Builder, x: Operand) -> Operand:
    """x * x."""
    return b.emit("square", [x], x.shape, kind(x), dtype(x))


def divide(b: Builder, x: Operand, y: Operand) -> Operand:
    """x / y for real numbers."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    if not is_secret(y):
        if is_all(y, 1) and x.shape == shape:
            return x
        if not isinstance(y, Ref) and not np.all(y):
            raise UnsupportedOperation(
                f"a secret is divided by the public constant 0{at(b.line)}. Mask the divisor first."
            )
        return mul(b, x, b.emit("reciprocal", [y], y.shape, "fixed", dtype(y)))
    if is_all(x, 1) and y.shape == shape:
        return b.emit("reciprocal", [y], shape, "fixed", dtype(y))
    return b.emit("divide", [x, y], shape, "fixed", dtype(y))


def unary(b: Builder, name: str, x: Operand, **params: Any) -> Operand:
    """An element-wise function of one argument that keeps its kind."""
    return b.emit(name, [x], x.shape, kind(x), dtype(x), **params)


# --- comparison and selection ---------------------------------------------------------------------------------------


def compare(b: Builder, name: str, x: Operand, y: Operand) -> Operand:
    """One of lt, le, gt, ge, eq, ne. A secret is never infinite and never NaN."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    if isinstance(x, Ref) and isinstance(y, Ref) and x.slot == y.slot:
        return np.full(shape, name in {"le", "ge", "eq"})
    settled = _against_infinity(name, x, y, shape)
    if settled is not None:
        return settled
    return b.emit(name, _alike(b, x, y), shape, "bool", "bool")


def select(b: Builder, condition: Operand, x: Operand, y: Operand) -> Operand:
    """x where the condition holds, else y."""
    shape = np.broadcast_shapes(condition.shape, x.shape, y.shape)
    for value, chosen in ((True, x), (False, y)):
        if is_all(condition, value):
            return broadcast_to(b, chosen, shape)
    if isinstance(x, Ref) and isinstance(y, Ref) and x.slot == y.slot:
        return broadcast_to(b, x, shape)
    if kind(x) == "bool":
        if is_all(x, True) and is_all(y, False):
            return broadcast_to(b, condition, shape)
        if is_all(x, False) and is_all(y, True):
            return broadcast_to(b, logical_not(b, condition), shape)
    return b.emit("select", [condition, *_alike(b, x, y)], shape, *_result(x, y))


def maximum(b: Builder, x: Operand, y: Operand) -> Operand:
    """The larger of two; against a public zero it is relu."""
    return _extremum(b, "maximum", x, y, -np.inf)


def minimum(b: Builder, x: Operand, y: Operand) -> Operand:
    """The smaller of two."""
    return _extremum(b, "minimum", x, y, np.inf)


def logical_not(b: Builder, x: Operand) -> Operand:
    """NOT x."""
    return b.emit("logical_not", [x], x.shape, "bool", "bool")


def logical(b: Builder, name: str, x: Operand, y: Operand) -> Operand:
    """logical_and, logical_or or logical_xor of truth values."""
    shape = np.broadcast_shapes(x.shape, y.shape)
    for one, other in ((x, y), (y, x)):
        if (is_all(one, True) and name == "logical_and") or (is_all(one, False) and name != "logical_and"):
            return broadcast_to(b, other, shape)
        if is_all(one, False) or (is_all(one, True) and name == "logical_or"):
            return broadcast_to(b, one, shape)
        if is_all(one, True):
            return broadcast_to(b, logical_not(b, other), shape)
    return b.emit(name, [x, y], shape, "bool", "bool")


def convert(b: Builder, x: Operand, target: Kind, name: str) -> Operand:
    """Between kinds: truth values count as 0 and 1, a real number becomes an integer by truncation towards zero."""
    if kind(x) == target:
        return x
    if target == "bool":
        return compare(b, "ne", x, number(0, x))
    return b.emit("convert", [x], x.shape, target, name, kind=target)


# --- shape ----------------------------------------------------------------------------------------------------------


def reshape(b: Builder, x: Operand, shape: Sequence[int]) -> Operand:
    """The same elements in row-major order."""
    shape = tuple(map(int, shape))
    return x if shape == x.shape else b.emit("reshape", [x], shape, kind(x), dtype(x), shape=shape)


def transpose(b: Builder, x: Operand, axes: Sequence[int]) -> Operand:
    """Permute the axes."""
    axes = tuple(map(int, axes))
    if axes == tuple(range(len(axes))):
        return x
    return b.emit("transpose", [x], [x.shape[a] for a in axes], kind(x), dtype(x), axes=axes)


def broadcast(b: Builder, x: Operand, shape: Sequence[int], axes: Sequence[int]) -> Operand:
    """Place the axes of x at `axes` of the result, repeat along the others."""
    shape, axes = tuple(map(int, shape)), tuple(map(int, axes))
    if x.size == int(np.prod(shape)) and list(axes) == sorted(axes):
        return reshape(b, x, shape)
    return b.emit("broadcast", [x], shape, kind(x), dtype(x), shape=shape, axes=axes)


def broadcast_to(b: Builder, x: Operand, shape: Sequence[int]) -> Operand:
    """NumPy's broadcasting."""
    shape = tuple(shape)
    if x.shape == shape:
        return x
    if not isinstance(x, Ref):
        return np.broadcast_to(x, shape)
    return broadcast(b, x, shape, range(len(shape) - x.ndim, len(shape)))


def slice_(
    b: Builder, x: Operand, start: Sequence[int], stop: Sequence[int], stride: Sequence[int] | None = None
) -> Operand:
    """x[start:stop:stride] along every axis."""
    stride = [1] * x.ndim if stride is None else stride
    shape = tuple(len(range(*bounds)) for bounds in zip(start, stop, stride, strict=True))
    if shape == x.shape:
        return x
    return b.emit("slice", [x], shape, kind(x), dtype(x), start=tuple(start), stop=tuple(stop), stride=tuple(stride))


def slice_axis(b: Builder, x: Operand, axis: int, start: int, stop: int, stride: int = 1) -> Operand:
    """x[start:stop:stride] along one axis."""
    starts, stops, strides = [0] * x.ndim, list(x.shape), [1] * x.ndim
    starts[axis], stops[axis], strides[axis] = start, stop, stride
    return slice_(b, x, starts, stops, strides)


def index(b: Builder, x: Operand, axis: int, position: int) -> Operand:
    """x[position] along one axis, which is dropped."""
    part = slice_axis(b, x, axis, position, position + 1)
    return reshape(b, part, x.shape[:axis] + x.shape[axis + 1 :])


def pad(b: Builder, x: Operand, value: Operand, widths: Sequence[Sequence[int]]) -> Operand:
    """Edge and interior padding (low, high, interior); negative edges cut."""
    widths = tuple(tuple(map(int, w)) for w in widths)
    if not any(any(w) for w in widths):
        return x
    shape = [
        max(0, low + high + n + max(n - 1, 0) * inside) for n, (low, high, inside) in zip(x.shape, widths, strict=True)
    ]
    return b.emit("pad", _alike(b, x, value), shape, *_result(x, value), widths=widths)


def concatenate(b: Builder, xs: Sequence[Operand], axis: int) -> Operand:
    """Join along an axis."""
    parts = [x for x in xs if x.size or x.shape[axis]]
    if len(parts) == 1:
        return parts[0]
    parts = parts or list(xs)
    shape = list(parts[0].shape)
    shape[axis] = sum(x.shape[axis] for x in parts)
    return b.emit("concatenate", parts, shape, kind(parts[0]), dtype(parts[0]), axis=int(axis))


def stack(b: Builder, xs: Sequence[Operand], axis: int) -> Operand:
    """Join along a new axis."""
    return concatenate(b, [reshape(b, x, (*x.shape[:axis], 1, *x.shape[axis:])) for x in xs], axis)


def reverse(b: Builder, x: Operand, axes: Sequence[int]) -> Operand:
    """Flip along axes."""
    axes = tuple(int(a) for a in axes if x.shape[a] > 1)
    return b.emit("reverse", [x], x.shape, kind(x), dtype(x), axes=axes) if axes else x


def take(b: Builder, x: Operand, indices: Operand, axis: int) -> Operand:
    """x at public positions along an axis."""
    shape = (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])
    return b.emit("take", [x, indices], shape, kind(x), dtype(x), axis=int(axis))


def take_flat(b: Builder, x: Operand, indices: Operand) -> Operand:
    """The elements of x at public row-major positions."""
    return take(b, reshape(b, x, (x.size,)), indices, 0)


# --- reductions and products ----------------------------------------------------------------------------------------


def reduce(b: Builder, name: str, x: Operand, axes: Sequence[int]) -> Operand:
    """sum, prod, max, min, any or all over axes, which are dropped."""
    axes = tuple(sorted(int(a) % max(x.ndim, 1) for a in axes))
    shape = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    if all(x.shape[a] == 1 for a in axes):
        return reshape(b, x, shape)
    return b.emit(name, [x], shape, kind(x), dtype(x), axes=axes)


def sum_(b: Builder, x: Operand, axes: Sequence[int]) -> Operand:
    """The sum over axes."""
    return reduce(b, "sum", x, axes)


def dot(
    b: Builder, x: Operand, y: Operand, contract: tuple[Sequence[int], Sequence[int]],
    batch: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Operand:  # fmt: skip
    """The sum of products over the contracted axes; result axes: batch, rest of x, rest of y."""
    (cx, cy), (bx, by) = contract, batch
    free_x = [n for axis, n in enumerate(x.shape) if axis not in cx and axis not in bx]
    free_y = [n for axis, n in enumerate(y.shape) if axis not in cy and axis not in by]
    shape = [*(x.shape[a] for a in bx), *free_x, *free_y]
    return b.emit(
        "dot_general", [counted(b, x), counted(b, y)], shape, *_result(x, y),
        contract=(tuple(cx), tuple(cy)), batch=(tuple(bx), tuple(by)),
    )  # fmt: skip


def counted(b: Builder, x: Operand) -> Operand:
    """Truth values as the integers 0 and 1, anything else as it is."""
    return convert(b, x, "int", "int32") if kind(x) == "bool" else x


def polynomial(b: Builder, x: Operand, coefficients: Sequence[float]) -> Operand:
    """c0 + c1 x + c2 x^2 + ... by Horner's rule."""
    total: Operand = np.full(x.shape, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = add(b, mul(b, total, x), np.asarray(coefficient))
    return total


# --- helpers --------------------------------------------------------------------------------------------------------


def _numpy(x: Operand) -> Any:
    return {"fixed": np.float64, "int": np.int64, "bool": np.bool_}[kind(x)]


_RANK = {"bool": 0, "int": 1, "fixed": 2}


def _result(x: Operand, y: Operand) -> tuple[Kind, str]:
    wider: Kind = kind(x) if _RANK[kind(x)] >= _RANK[kind(y)] else kind(y)
    candidates = [operand for operand in (x, y) if kind(operand) == wider]
    leader = next((operand for operand in candidates if isinstance(operand, Ref)), candidates[0])
    return wider, dtype(leader)


def _alike(b: Builder, x: Operand, y: Operand) -> list[Operand]:
    """Both operands in the wider of their kinds."""
    target, name = _result(x, y)
    return [convert(b, operand, target, name) for operand in (x, y)]


def _extremum(b: Builder, name: str, x: Operand, y: Operand, neutral: float) -> Operand:
    shape = np.broadcast_shapes(x.shape, y.shape)
    for one, other in ((x, y), (y, x)):
        if is_all(one, neutral) and other.shape == shape:
            return other
    if isinstance(x, Ref) and isinstance(y, Ref) and x.slot == y.slot:
        return x
    if kind(x) == "bool":
        return logical(b, "logical_or" if name == "maximum" else "logical_and", x, y)
    return b.emit(name, _alike(b, x, y), shape, *_result(x, y))


def _against_infinity(name: str, x: Operand, y: Operand, shape: Shape) -> Operand | None:
    """The truth of comparing a secret with a public infinity, or None when there is none."""
    mirrored = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}
    for one, other, relation in ((x, y, mirrored[name]), (y, x, name)):
        if known(one) and not known(other) and one.size and one.dtype.kind == "f":  # type: ignore[union-attr]
            for sign in (1.0, -1.0):
                if is_all(one, sign * np.inf):  # other <relation> sign * inf
                    held = {"lt": sign > 0, "le": sign > 0, "gt": sign < 0, "ge": sign < 0, "eq": False, "ne": True}
                    return np.full(shape, held[relation])
    return None
