"""Rules for matrix products, convolutions and small linear systems.

Every convolution becomes one of three bilinear maps on NHWC images and HWIO kernels: forward, the gradient with respect to
the image, the gradient with respect to the kernel. So images, kernels and cotangents are masked and opened once, however
many of the three meet them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tacit.compile.front.jax import ops
from tacit.compile.front.jax.builder import Builder, Operand
from tacit.compile.front.jax.lower import lower_closed, lowers, refusal

MAX_SYSTEM = 64
"""Rows of a linear system that is solved by elimination, one row after the other."""


@lowers("dot_general")
def dot_general(b: Builder, eqn: Any, x: Operand, y: Operand) -> Operand:
    """The sum of products over the contracted axes."""
    contract, batch = eqn.params["dimension_numbers"]
    return ops.dot(b, x, y, contract, batch)


@lowers("ragged_dot_general")
def ragged_dot_general(b: Builder, *_: Any) -> Operand:
    """Refused."""
    raise refusal(b, "a ragged product", "Pad the groups to one size and mask.")


# --- convolution ----------------------------------------------------------------------------------------------------


@lowers("conv_general_dilated")
def convolution(b: Builder, eqn: Any, x: Operand, w: Operand) -> Operand:
    """A convolution of one or two spatial axes with any layout, dilation, padding and grouping."""
    p = eqn.params
    d = p["dimension_numbers"]
    spatial = len(p["window_strides"])
    if spatial not in {1, 2}:
        raise refusal(
            b, f"a convolution of {spatial} spatial axes", "Fold one axis into the batch, or sum 2-D convolutions."
        )
    strides, padding = list(p["window_strides"]), [list(pair) for pair in p["padding"]]
    inner, outer = list(p["lhs_dilation"]), list(p["rhs_dilation"])
    groups, batch_groups = p["feature_group_count"], p["batch_group_count"]
    x = ops.transpose(b, x, [d.lhs_spec[0], *d.lhs_spec[2:], d.lhs_spec[1]])  # N, spatial, C
    w = ops.transpose(b, w, [*d.rhs_spec[2:], d.rhs_spec[1], d.rhs_spec[0]])  # spatial, I, O
    if spatial == 1:
        x, w = ops.reshape(b, x, (x.shape[0], 1, *x.shape[1:])), ops.reshape(b, w, (1, *w.shape))
        strides, padding, inner, outer = [1, *strides], [[0, 0], *padding], [1, *inner], [1, *outer]
    if batch_groups > 1:
        x, groups = _batch_groups_as_feature_groups(b, x, batch_groups), batch_groups
    swapped = d.lhs_spec[1] == 0  # channels before the batch: JAX writes the gradient with respect to a kernel so
    result = _convolve(b, x, w, strides, padding, inner, outer, groups, swapped=swapped)
    if spatial == 1:
        result = ops.reshape(b, result, (result.shape[0], *result.shape[2:]))
    order = [0] * (spatial + 2)
    for place, axis in enumerate([d.out_spec[0], *d.out_spec[2:], d.out_spec[1]]):
        order[axis] = place
    return ops.transpose(b, result, order)


def _batch_groups_as_feature_groups(b: Builder, x: Operand, groups: int) -> Operand:
    """[G N, H, W, C] -> [N, H, W, G C]: each group of the batch becomes a group of channels."""
    n, h, w, c = x.shape
    x = ops.transpose(b, ops.reshape(b, x, (groups, n // groups, h, w, c)), (1, 2, 3, 0, 4))
    return ops.reshape(b, x, (n // groups, h, w, groups * c))


def _convolve(
    b: Builder, x: Operand, w: Operand, strides: list[int], padding: list[list[int]], inner: list[int],
    outer: list[int], groups: int, *, swapped: bool,
) -> Operand:  # fmt: skip
    image = _as_image_gradient(b, x, w, strides, padding, inner, outer, groups)
    if image is not None:
        return image
    kernel = _as_kernel_gradient(b, x, w, strides, padding, inner, outer, groups, swapped=swapped)
    if kernel is not None:
        return kernel
    # zeros between the rows and columns, negative padding by cutting, then an ordinary convolution
    widths = [
        (0, 0, 0),
        *((min(lo, 0), min(hi, 0), d - 1) for (lo, hi), d in zip(padding, inner, strict=True)),
        (0, 0, 0),
    ]
    x = ops.pad(b, x, ops.number(0, x), widths)
    edges = [max(v, 0) for pair in padding for v in pair]
    size = [
        (x.shape[1 + a] + edges[2 * a] + edges[2 * a + 1] - (w.shape[a] - 1) * outer[a] - 1) // strides[a] + 1
        for a in (0, 1)
    ]
    shape = (x.shape[0], *size, w.shape[3])
    if min(shape) < 1:
        return np.zeros([max(n, 0) for n in shape])
    return b.emit(
        "conv", [x, w], shape, *ops.joint(x, w),
        strides=tuple(strides), padding=tuple(edges), dilation=tuple(outer), groups=groups,
    )  # fmt: skip


def _as_image_gradient(
    b: Builder, g: Operand, w: Operand, strides: list[int], padding: list[list[int]], inner: list[int],
    outer: list[int], groups: int,
) -> Operand | None:  # fmt: skip
    """Recognise conv(g, flipped and transposed kernel, lhs_dilation=s): the gradient with respect to the image.

    `w` is [KH, KW, O, C] with both spatial axes flipped; the kernel of the forward map is [KH, KW, C, O].
    """
    original = _unflipped(b, w)
    if strides != [1, 1] or groups != 1 or (inner == [1, 1] and original is None):
        return None
    image, edges = [], []
    for a in (0, 1):
        reach = (w.shape[a] - 1) * outer[a]
        low = reach - padding[a][0]
        size = (g.shape[1 + a] - 1) * inner[a] + 1 + padding[a][0] + padding[a][1] - reach
        high = (g.shape[1 + a] - 1) * inner[a] + reach + 1 - size - low
        # the forward extent must be the one of g: what its stride left over may be uncovered
        slack = (size + low + max(high, 0) - reach - 1) - (g.shape[1 + a] - 1) * inner[a]
        if low < 0 or size < 1 or not 0 <= slack < inner[a] or (size + low + max(high, 0) - reach - 1) < 0:
            return None
        image.append(size)
        edges += [low, max(high, 0)]
    kernel = ops.transpose(b, original if original is not None else ops.reverse(b, w, [0, 1]), (0, 1, 3, 2))
    return b.emit(
        "conv_image_gradient", [g, kernel], (g.shape[0], *image, w.shape[3]), *ops.joint(g, w),
        strides=tuple(inner), padding=tuple(edges), dilation=tuple(outer), groups=1, image=tuple(image),
    )  # fmt: skip


def _unflipped(b: Builder, w: Operand) -> Operand | None:
    """The kernel that was flipped along both spatial axes to give w, as JAX does for gradients; None if it was not."""
    step = ops.producer(b, w)
    axes = tuple(range(4))
    if step is not None and step.name == "transpose":
        axes = tuple(step.params["axes"])
        step = ops.producer(b, b.at(step.inputs[0]))
    if step is None or step.name != "reverse":
        return None
    long = {place for place in (0, 1) if w.shape[place] > 1}
    if {axes.index(axis) for axis in step.params["axes"]} != long:
        return None
    return ops.transpose(b, b.at(step.inputs[0]), axes)


def _as_kernel_gradient(
    b: Builder, x: Operand, g: Operand, strides: list[int], padding: list[list[int]], inner: list[int],
    outer: list[int], groups: int, *, swapped: bool,
) -> Operand | None:  # fmt: skip
    """Recognise conv(x with batch and channels swapped, g, rhs_dilation=s): the gradient with respect to the kernel.

    `x` is [C, H, W, N], `g` is [OH, OW, N, O]; the images of the forward map are [N, H, W, C].
    """
    if inner != [1, 1] or groups != 1:
        return None
    kernel, edges, cut = [], [], []
    for a in (0, 1):
        low, high = padding[a]
        reach = (g.shape[a] - 1) * outer[a]
        size = (x.shape[1 + a] + low + high - reach - 1) // strides[a] + 1
        if size < 1 or low < 0:
            return None
        kernel.append(size)
        # the forward map of this kernel gives g.shape[a] rows: cut or pad the far edge to exactly that
        used = reach + (size - 1) * strides[a] + 1
        high = used - x.shape[1 + a] - low
        edges += [low, max(high, 0)]
        cut.append(min(high, 0))
    if not swapped and g.shape[0] * g.shape[1] <= kernel[0] * kernel[1]:
        return None  # a window smaller than its result: an ordinary convolution
    image = ops.transpose(b, x, (3, 1, 2, 0))
    image = ops.pad(b, image, ops.number(0, image), [(0, 0, 0), (0, cut[0], 0), (0, cut[1], 0), (0, 0, 0)])
    cotangent = ops.transpose(b, g, (2, 0, 1, 3))
    result = b.emit(
        "conv_kernel_gradient", [image, cotangent], (*kernel, x.shape[0], g.shape[3]), *ops.joint(x, g),
        strides=tuple(outer), padding=tuple(edges), dilation=tuple(strides), groups=1, kernel=tuple(kernel),
    )  # fmt: skip
    return ops.transpose(b, result, (2, 0, 1, 3))


# --- small linear systems -------------------------------------------------------------------------------------------


@lowers("cholesky")
def cholesky(b: Builder, _: Any, x: Operand) -> Operand:
    """The lower factor of symmetric positive definite matrices, column by column."""
    n = x.shape[-1]
    _refuse_large(b, n, "cholesky")
    lead = x.shape[:-2]
    columns: list[Operand] = []
    for j in range(n):
        column = ops.index(b, x, x.ndim - 1, j)  # [..., n]
        for earlier in columns:
            pivot = ops.slice_axis(b, earlier, len(lead), j, j + 1)
            column = ops.sub(b, column, ops.mul(b, earlier, ops.broadcast_to(b, pivot, earlier.shape)))
        below = np.broadcast_to(np.arange(n) >= j, column.shape)
        scale = ops.unary(b, "rsqrt", ops.slice_axis(b, column, len(lead), j, j + 1))
        column = ops.mul(b, column, ops.broadcast_to(b, scale, column.shape))
        columns.append(ops.select(b, below, column, np.asarray(0.0)))
    return ops.stack(b, columns, len(lead) + 1)


@lowers("triangular_solve")
def triangular_solve(b: Builder, eqn: Any, a: Operand, y: Operand) -> Operand:
    """x with a x = y or x a = y for triangular a, by substitution."""
    p = eqn.params
    n = a.shape[-1]
    _refuse_large(b, n, "triangular_solve")
    last = a.ndim - 1
    swap = [*range(last - 1), last, last - 1]
    lower = p["lower"]
    if p["transpose_a"]:
        a, lower = ops.transpose(b, a, swap), not lower
    if not p["left_side"]:  # x a = y  <=>  a^T x^T = y^T
        a, lower, y = ops.transpose(b, a, swap), not lower, ops.transpose(b, y, swap)
    diagonal = ops.stack(b, [ops.index(b, ops.index(b, a, last, i), last - 1, i) for i in range(n)], last - 1)
    inverse = np.ones(diagonal.shape) if p["unit_diagonal"] else ops.divide(b, np.asarray(1.0), diagonal)
    rows: dict[int, Operand] = {}
    for i in range(n) if lower else reversed(range(n)):
        row = ops.slice_axis(b, y, last - 1, i, i + 1)
        if rows:
            known = sorted(rows)
            weights = ops.concatenate(
                b, [ops.slice_axis(b, ops.slice_axis(b, a, last - 1, i, i + 1), last, j, j + 1) for j in known], last
            )
            done = ops.concatenate(b, [rows[j] for j in known], last - 1)
            lead = tuple(range(last - 1))
            row = ops.sub(b, row, ops.dot(b, weights, done, ((last,), (last - 1,)), (lead, lead)))
        scale = ops.reshape(b, ops.index(b, inverse, last - 1, i), (*inverse.shape[:-1], 1, 1))
        rows[i] = ops.mul(b, row, ops.broadcast_to(b, scale, row.shape))
    x = ops.concatenate(b, [rows[i] for i in range(n)], last - 1)
    return x if p["left_side"] else ops.transpose(b, x, swap)


@lowers("custom_linear_solve")
def custom_linear_solve(b: Builder, eqn: Any, *operands: Operand) -> Any:
    """The user's own solver, inlined."""
    lengths, jaxprs = eqn.params["const_lengths"], eqn.params["jaxprs"]
    parts = [lengths.matvec, lengths.vecmat, lengths.solve, lengths.transpose_solve]
    start = sum(parts[:2])
    consts, rest = operands[start : start + parts[2]], operands[sum(parts) :]
    return lower_closed(b, jaxprs.solve, [*consts, *rest])


def _refuse_large(b: Builder, n: int, what: str) -> None:
    if n > MAX_SYSTEM:
        raise refusal(
            b, f"{what} of {n} rows", f"At most {MAX_SYSTEM} rows are eliminated one by one. Use conjugate gradients."
        )
