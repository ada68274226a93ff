"""Rules for gather, scatter and dynamic slices, with public and with secret positions.

Public positions become one public map of row-major element numbers, and moving elements by it is local. A secret
position becomes a one-hot vector by comparison with every place it could be, and a product with that vector: no party
learns the position, and the cost grows with the number of places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tacit.compile.front.jax import ops
from tacit.compile.front.jax.builder import Builder, Operand
from tacit.compile.front.jax.lower import lowers, refusal
from tacit.compile.program import Shape

MAX_SEQUENTIAL = 128
"""Secret positions that are overwritten one after another; more must be promised unique."""


@dataclass(frozen=True)
class Layout:
    """Dimension numbers of a gather, or of a scatter seen from its updates; see `lax.GatherDimensionNumbers`."""

    shape: Shape
    window: Shape
    """Slice sizes, one for each axis of the operand."""
    offset_dims: Shape
    collapsed: Shape
    start_map: Shape
    operand_batch: Shape
    index_batch: Shape
    mode: str
    """clip, or drop (out of bounds reads zero and writes nothing)."""

    def params(self) -> dict[str, Any]:
        """As parameters of a public `gather_map` step."""
        return {
            "shape": self.shape, "window": self.window, "offset_dims": self.offset_dims, "collapsed": self.collapsed,
            "start_map": self.start_map, "operand_batch": self.operand_batch, "index_batch": self.index_batch,
            "mode": self.mode,
        }  # fmt: skip


# --- gather ---------------------------------------------------------------------------------------------------------


@lowers("gather")
def gather(b: Builder, eqn: Any, x: Operand, indices: Operand) -> Operand:
    """Slices of x at the given starts. Out of bounds: clamped, or zero where JAX fills (fixed point has no NaN)."""
    d = eqn.params["dimension_numbers"]
    layout = Layout(
        x.shape, tuple(eqn.params["slice_sizes"]), tuple(d.offset_dims), tuple(d.collapsed_slice_dims),
        tuple(d.start_index_map), tuple(d.operand_batching_dims), tuple(d.start_indices_batching_dims),
        _mode(eqn.params["mode"]),
    )  # fmt: skip
    shape = eqn.outvars[0].aval.shape
    if not ops.is_secret(indices):
        return _gather_public(b, x, _positions(b, layout, indices, shape), shape)
    return _gather_secret(b, x, indices, layout, shape)


def _gather_public(b: Builder, x: Operand, positions: Operand, shape: Shape) -> Operand:
    flat = ops.reshape(b, x, (x.size,))
    if ops.known(positions) and positions.size and positions.min() >= 0:  # type: ignore[union-attr]
        return ops.reshape(b, ops.take(b, flat, positions, 0), shape)
    padded = ops.pad(b, flat, ops.number(0, x), [(0, 1, 0)])  # position -1 reads the zero behind the end
    where = ops.select(b, ops.compare(b, "lt", positions, np.asarray(0)), np.asarray(x.size), positions)
    return ops.reshape(b, ops.take(b, padded, where, 0), shape)


def _gather_secret(b: Builder, x: Operand, indices: Operand, layout: Layout, shape: Shape) -> Operand:
    """A one-hot product: [batch, places] by [places, slice]."""
    if not layout.start_map:
        raise refusal(b, "a gather without indexed axes")
    table, window_shape = _table(b, x, layout)
    hot = _hot(b, indices, layout)  # [batch..., places]
    batch_axes = range(hot.ndim - 1)
    first = len(layout.operand_batch)
    result = ops.dot(b, hot, table, ((hot.ndim - 1,), (first,)), (layout.index_batch, tuple(range(first))))
    # axes now: index batch, other batch, then the slice; restore the order of the batch axes
    order = [*layout.index_batch, *(a for a in batch_axes if a not in layout.index_batch)]
    result = ops.transpose(b, result, [*(order.index(a) for a in batch_axes), len(order)])
    batch_shape = tuple(hot.shape[:-1])
    result = ops.reshape(b, result, (*batch_shape, *window_shape))
    kept = [a for a in range(len(layout.shape)) if a not in (*layout.collapsed, *layout.operand_batch)]
    result = ops.reshape(b, result, (*batch_shape, *(layout.window[a] for a in kept)))
    return ops.transpose(b, result, _interleave(len(batch_shape), layout.offset_dims, len(shape)))


def _table(b: Builder, x: Operand, layout: Layout) -> tuple[Operand, Shape]:
    """x as [operand batch, places, slice elements], and the slice's shape in axis order (batch axes left out)."""
    indexed, batch = list(layout.start_map), list(layout.operand_batch)
    others = [a for a in range(x.ndim) if a not in indexed and a not in batch]
    for axis in others:
        x = ops.slice_axis(b, x, axis, 0, layout.window[axis])
    axes = sorted([*indexed, *others])
    places = [layout.shape[a] - layout.window[a] + 1 for a in indexed]
    x = ops.transpose(b, x, [*batch, *indexed, *others])
    lead = len(batch)
    for number, axis in enumerate(indexed):  # each indexed axis n becomes [places, window], the windows moved behind
        grid = np.arange(places[number])[:, None] + np.arange(layout.window[axis])[None, :]
        x = ops.take(b, x, grid, lead + number)
        x = ops.transpose(b, x, [*(a for a in range(x.ndim) if a != lead + number + 1), lead + number + 1])
    # axes: batch, places..., others..., windows in the order of `indexed`
    behind = [*others, *indexed]
    start = lead + len(indexed)
    x = ops.transpose(b, x, [*range(start), *(start + behind.index(a) for a in axes)])
    sizes = [x.shape[a] for a in range(lead)]
    return ops.reshape(
        b, x, (*sizes, int(np.prod(places)), -1 if x.size == 0 else x.size // int(np.prod([*sizes, *places])))
    ), tuple(layout.window[a] for a in axes)


def _hot(b: Builder, indices: Operand, layout: Layout) -> Operand:
    """[batch..., places]: 1 at the place that the last axis of `indices` names."""
    places = [layout.shape[a] - layout.window[a] + 1 for a in layout.start_map]
    if len(places) == 1:
        return one_hot(b, ops.index(b, indices, indices.ndim - 1, 0), places[0], clamp=layout.mode == "clip")
    total: Operand = np.zeros(indices.shape[:-1], np.int64)
    inside: Operand = np.ones(indices.shape[:-1], np.bool_)
    for number, count in enumerate(places):
        part = ops.index(b, indices, indices.ndim - 1, number)
        if layout.mode == "clip":
            part = ops.minimum(b, ops.maximum(b, part, np.asarray(0)), np.asarray(count - 1))
        else:
            within = ops.logical(
                b,
                "logical_and",
                ops.compare(b, "ge", part, np.asarray(0)),
                ops.compare(b, "lt", part, np.asarray(count)),
            )
            inside = ops.logical(b, "logical_and", inside, within)
        total = ops.add(b, ops.mul(b, total, np.asarray(count)), part)
    hot = one_hot(b, total, int(np.prod(places)), clamp=False)
    if layout.mode == "clip":
        return hot
    return ops.logical(b, "logical_and", hot, ops.broadcast(b, inside, hot.shape, range(hot.ndim - 1)))


def one_hot(b: Builder, index: Operand, count: int, *, clamp: bool) -> Operand:
    """[..., count] truth values: which of 0..count-1 the index is; clamped, the ends catch what lies beyond them."""
    spread = ops.broadcast(b, index, (*index.shape, count), range(index.ndim))
    if count == 1 and clamp:
        return np.ones(spread.shape, np.bool_)
    hot = ops.compare(b, "eq", spread, np.broadcast_to(np.arange(count), spread.shape))
    if not clamp:
        return hot
    low = ops.reshape(b, ops.compare(b, "le", index, np.asarray(0)), (*index.shape, 1))
    high = ops.reshape(b, ops.compare(b, "ge", index, np.asarray(count - 1)), (*index.shape, 1))
    axis = index.ndim
    middle = ops.slice_axis(b, hot, axis, 1, count - 1)
    return ops.concatenate(b, [low, middle, high] if count > 2 else [low, high], axis)


# --- scatter --------------------------------------------------------------------------------------------------------


@lowers("scatter-add", "scatter-sub", "scatter", "scatter-mul", "scatter-min", "scatter-max")
def scatter(b: Builder, eqn: Any, x: Operand, indices: Operand, updates: Operand) -> Operand:
    """x with slices combined with `updates`. Out of bounds: dropped, or clamped where JAX clamps."""
    name = eqn.primitive.name.partition("-")[2] or "set"
    d = eqn.params["dimension_numbers"]
    window = [1] * x.ndim
    kept = [a for a in range(x.ndim) if a not in d.inserted_window_dims and a not in d.operand_batching_dims]
    for axis, place in zip(kept, d.update_window_dims, strict=True):
        window[axis] = updates.shape[place]
    layout = Layout(
        x.shape, tuple(window), tuple(d.update_window_dims), tuple(d.inserted_window_dims),
        tuple(d.scatter_dims_to_operand_dims), tuple(d.operand_batching_dims), tuple(d.scatter_indices_batching_dims),
        _mode(eqn.params["mode"]),
    )  # fmt: skip
    if ops.is_secret(indices):
        truth = ops.kind(x) == "bool"
        old, new = (ops.counted(b, v) for v in (x, updates))
        result = _scatter_secret(b, name, old, indices, new, layout, unique=eqn.params["unique_indices"])
        return ops.convert(b, result, "bool", "bool") if truth else result
    positions = ops.reshape(b, _positions(b, layout, indices, updates.shape), (updates.size,))
    return scatter_flat(b, name, x, positions, updates)


def scatter_flat(b: Builder, name: str, x: Operand, positions: Operand, updates: Operand) -> Operand:
    """Combine updates into x at public row-major positions, -1 meaning nowhere."""
    flat, news = ops.reshape(b, x, (x.size,)), ops.reshape(b, updates, (updates.size,))
    if name in {"add", "sub"}:
        if name == "sub":
            news = ops.neg(b, news)
        summed = b.emit("scatter_add", [flat, positions, news], flat.shape, *_kind(x, updates))
        return ops.reshape(b, summed, x.shape)
    if name == "set":
        return ops.reshape(b, _overwrite(b, flat, positions, news), x.shape)
    if not ops.known(positions):
        raise refusal(b, f"scatter-{name} at positions that change within a loop")
    combine = {"mul": ops.mul, "min": ops.minimum, "max": ops.maximum}[name]
    for layer in _layers(np.asarray(positions)):
        where = np.asarray(positions)[layer]
        mine = ops.take(b, flat, where, 0)
        flat = _overwrite(b, flat, where, combine(b, mine, ops.take(b, news, layer, 0)))
    return ops.reshape(b, flat, x.shape)


def _overwrite(b: Builder, flat: Operand, positions: Operand, news: Operand) -> Operand:
    """Elements of `flat` replaced: a public map into both arrays joined."""
    source = b.emit("overwrite_map", [positions], flat.shape, "int", "int32", size=flat.size)
    target = "fixed" if "fixed" in (ops.kind(flat), ops.kind(news)) else ops.kind(flat)
    news = ops.convert(b, news, target, ops.dtype(flat))
    return ops.take(b, ops.concatenate(b, [flat, news], 0), source, 0)


def _layers(positions: Any) -> list[Any]:
    """Update numbers in groups within which no position repeats."""
    seen: dict[int, int] = {}
    layers: list[list[int]] = []
    for number, position in enumerate(positions.tolist()):
        if position < 0:
            continue
        depth = seen.get(position, 0)
        seen[position] = depth + 1
        if depth == len(layers):
            layers.append([])
        layers[depth].append(number)
    return [np.asarray(layer) for layer in layers]


def _scatter_secret(
    b: Builder, name: str, x: Operand, indices: Operand, updates: Operand, layout: Layout, *, unique: bool
) -> Operand:
    """Sums of one-hot products. `layout.index_batch` are batch axes along which each operand row has its own positions."""
    lanes = list(layout.index_batch)
    others = [a for a in range(indices.ndim - 1) if a not in lanes]
    sizes = [indices.shape[a] for a in lanes]
    count = int(np.prod([indices.shape[a] for a in others]))
    starts = ops.transpose(b, indices, [*lanes, *others, indices.ndim - 1])
    starts = ops.reshape(b, starts, (int(np.prod(sizes)), count, indices.shape[-1]))
    batch = [a for a in range(updates.ndim) if a not in layout.offset_dims]
    order = [*(batch[a] for a in lanes), *(batch[a] for a in others), *layout.offset_dims]
    news = ops.reshape(b, ops.transpose(b, updates, order), (int(np.prod(sizes)), count, int(np.prod(layout.window))))
    if name in {"add", "sub"}:
        news = ops.neg(b, news) if name == "sub" else news
        return ops.add(b, x, _placed(b, starts, news, layout, sizes))
    if name != "set":
        raise refusal(b, f"scatter-{name} at secret positions", "Use scatter-add, or jax.nn.one_hot and jnp.where.")
    if not unique and count > MAX_SEQUENTIAL:
        raise refusal(
            b, f"overwriting {count} secret positions that may repeat", "Say unique_indices=True if they do not."
        )
    groups = [(0, count)] if unique else [(n, n + 1) for n in range(count)]
    for first, last in groups:
        part = ops.slice_axis(b, starts, 1, first, last)
        new = ops.slice_axis(b, news, 1, first, last)
        cover = _placed(b, part, np.ones(new.shape, np.int64), layout, sizes)
        x = ops.add(b, x, ops.sub(b, _placed(b, part, new, layout, sizes), ops.mul(b, cover, x)))
    return x


def _placed(b: Builder, starts: Operand, news: Operand, layout: Layout, sizes: Sequence[int]) -> Operand:
    """Zeros of the operand's shape with each window of `news` added at its secret start.

    `starts` are [lanes, count, indexed axes], `news` [lanes, count, window]; `sizes` are the extents of the lanes.
    """
    hot = _hot(b, starts, layout)  # [lanes, count, places]
    places = [layout.shape[a] - layout.window[a] + 1 for a in layout.start_map]
    result = ops.dot(b, hot, news, ((1,), (1,)), ((0,), (0,)))
    result = ops.reshape(b, result, (hot.shape[0], *places, *layout.window))
    for number, axis in enumerate(layout.start_map):
        # fold [places] and [window] of this axis into the axis: element j of the window at place p lands at p + j
        lead = 1 + len(places) - number
        size = layout.window[axis]
        total: Operand | None = None
        for offset in range(size):
            part = ops.index(b, result, lead + axis, offset)
            widths = [(0, 0, 0)] * part.ndim
            widths[1] = (offset, size - 1 - offset, 0)
            part = ops.pad(b, part, ops.number(0, part), widths)
            total = part if total is None else ops.add(b, total, part)
        assert total is not None
        # the folded axis is the second; after it come the remaining places and the window without this axis
        order = [0, *range(2, lead), *range(lead, lead + axis), 1, *range(lead + axis, total.ndim)]
        result = ops.transpose(b, total, order)
    rank = len(layout.shape)
    kept = [a for a in range(rank) if a not in layout.operand_batch]
    result = ops.reshape(b, result, (*sizes, *(result.shape[1 + a] for a in kept)))
    place = {
        **{axis: n for n, axis in enumerate(layout.operand_batch)},
        **{a: len(sizes) + n for n, a in enumerate(kept)},
    }
    result = ops.transpose(b, result, [place[a] for a in range(rank)])
    widths = [(0, n - m, 0) for n, m in zip(layout.shape, result.shape, strict=True)]
    return ops.pad(b, result, ops.number(0, result), widths)


# --- slices at dynamic starts ---------------------------------------------------------------------------------------


def window(b: Builder, x: Operand, starts: Sequence[Operand], sizes: Sequence[int]) -> Operand:
    """x[start : start + size] along every axis, starts clamped so that the slice fits."""
    for axis, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        room = x.shape[axis] - size
        if not room:
            continue
        if ops.known(start):
            first = int(np.clip(np.asarray(start), 0, room))
            x = ops.slice_axis(b, x, axis, first, first + size)
        elif not ops.is_secret(start):
            x = ops.take(b, x, _run(b, start, room, size), axis)
        else:
            grid = np.arange(room + 1)[:, None] + np.arange(size)[None, :]
            hot = one_hot(b, start, room + 1, clamp=True)
            x = ops.take(b, x, grid, axis)
            x = ops.dot(b, hot, x, ((0,), (axis,)))
    return x


def overwrite(b: Builder, x: Operand, update: Operand, starts: Sequence[Operand]) -> Operand:
    """x with x[start : start + size] replaced by `update`, starts clamped so that it fits."""
    secret = [axis for axis, start in enumerate(starts) if ops.is_secret(start) and x.shape[axis] > update.shape[axis]]
    if secret:
        # first put the update into its place along the secret axes, within the window along the public ones
        sizes = [x.shape[a] if a in secret else update.shape[a] for a in range(x.ndim)]
        origin = [np.asarray(0) if a in secret else start for a, start in enumerate(starts)]
        update = _overwrite_secret(b, window(b, x, origin, sizes), update, {a: starts[a] for a in secret})
        starts = origin
    lanes: list[Operand] = []
    for axis, start in enumerate(starts):
        room = x.shape[axis] - update.shape[axis]
        lanes.append(_run(b, start, room, update.shape[axis]))
    positions: Operand = np.zeros((), np.int64)
    for axis, lane in enumerate(lanes):
        spread = ops.reshape(b, lane, [-1 if lane.size == 0 else lane.size if a == axis else 1 for a in range(x.ndim)])
        positions = ops.add(b, ops.mul(b, positions, np.asarray(x.shape[axis])), spread)
    positions = ops.reshape(b, ops.broadcast_to(b, positions, update.shape), (update.size,))
    flat = _overwrite(b, ops.reshape(b, x, (x.size,)), positions, ops.reshape(b, update, (update.size,)))
    return ops.reshape(b, flat, x.shape)


def _overwrite_secret(b: Builder, x: Operand, update: Operand, starts: dict[int, Operand]) -> Operand:
    cover: Operand = np.ones([1] * x.ndim, np.int64)
    for axis, start in starts.items():
        size, extent = update.shape[axis], x.shape[axis]
        hot = ops.counted(b, one_hot(b, start, extent - size + 1, clamp=True))
        offset = np.arange(extent)[:, None] - np.arange(extent - size + 1)[None, :]  # [axis, place]
        inside = (offset >= 0) & (offset < size)
        padded = ops.pad(b, update, ops.number(0, update), [(0, int(a == axis), 0) for a in range(x.ndim)])
        shifted = ops.take(b, padded, np.where(inside, offset, size), axis)  # [.., axis, place, ..]
        update = ops.dot(b, shifted, hot, ((axis + 1,), (0,)))
        lane = ops.dot(b, inside.astype(np.int64), hot, ((1,), (0,)))
        cover = ops.mul(b, cover, ops.reshape(b, lane, [extent if a == axis else 1 for a in range(x.ndim)]))
    return ops.add(b, x, ops.sub(b, update, ops.mul(b, cover, x)))


def _run(b: Builder, start: Operand, room: int, size: int) -> Operand:
    """start, start + 1, ... for a public start, clamped to 0..room."""
    first = ops.minimum(b, ops.maximum(b, start, np.asarray(0)), np.asarray(room))
    return ops.add(b, np.arange(size), first)


# --- helpers --------------------------------------------------------------------------------------------------------


def _positions(b: Builder, layout: Layout, indices: Operand, shape: Shape) -> Operand:
    return b.emit("gather_map", [indices], shape, "int", "int32", **layout.params())


def _interleave(batch: int, offset_dims: Sequence[int], rank: int) -> list[int]:
    """The permutation that puts the axes [batch, offset] where a gather's result has them."""
    order, next_batch, next_offset = [], 0, batch
    for axis in range(rank):
        if axis in offset_dims:
            order.append(next_offset)
            next_offset += 1
        else:
            order.append(next_batch)
            next_batch += 1
    return order


def _mode(mode: Any) -> str:
    return "clip" if "CLIP" in str(mode).upper() else "drop"


def _kind(x: Operand, updates: Operand) -> tuple[Any, str]:
    leader = x if not ops.known(x) else updates
    return ("fixed" if "fixed" in (ops.kind(x), ops.kind(updates)) else ops.kind(leader)), ops.dtype(leader)
