"""Named computations: what the library computes as a whole, cheaper or more accurately than its parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from tacit.compile.passes.edit import Editor
from tacit.compile.passes.pattern import Binding, matches
from tacit.compile.program import Program, SlotType, Step

Rewrite = Callable[[Editor, Step, Binding], int | None]


def recognise(program: Program) -> Program:
    """Recognise relu, clip, mean, sigmoid, silu, gelu, rsqrt, softmax and its gradient in their parts."""
    edit = Editor(program)
    uses = program.uses()
    for original in program.steps:
        step = edit.current(original)
        out = _rewritten(edit, step, uses)
        if out is None:
            edit.keep(step)
        else:
            edit.replace(step.outputs[0], out)
    return edit.finish()


def _rewritten(edit: Editor, step: Step, uses: list[int]) -> int | None:
    for pattern, exclusive, rewrite in _PATTERNS.get(step.name, ()):
        for binding, steps in matches(edit, step, pattern):
            inside = {slot for inner in steps[1:] for slot in inner.outputs}
            if exclusive and any(slot < len(uses) and uses[slot] > 1 and slot not in binding.values() for slot in inside):
                continue  # a part is needed elsewhere: it is computed anyway
            out = rewrite(edit, step, binding)
            if out is not None:
                return out
    return None


def _unary(name: str, **params: object) -> Rewrite:
    """The library function of the variable x."""

    def rewrite(edit: Editor, step: Step, binding: Binding) -> int | None:
        out, x = edit.slots[step.outputs[0]], edit.slots[binding["x"]]
        if x.shape != out.shape or x.kind != "fixed" or x.public:
            return None
        return edit.emit(name, [binding["x"]], out, step.line, **params)

    return rewrite


def _clip(edit: Editor, step: Step, binding: Binding) -> int | None:
    """min(max(x, low), high) with public bounds low <= high."""
    low, high = edit.constants.get(binding["low"]), edit.constants.get(binding["high"])
    out = edit.slots[step.outputs[0]]
    if low is None or high is None or edit.slots[binding["x"]].shape != out.shape or edit.slots[binding["x"]].public:
        return None
    if not bool(np.all(np.less_equal(*np.broadcast_arrays(low, high)))):
        return None
    return edit.emit("clip", [binding["x"], binding["low"], binding["high"]], out, step.line)


def _clip_relu(edit: Editor, step: Step, binding: Binding) -> int | None:
    """min(relu(x), high) is a clip from 0."""
    x = edit.slots[binding["x"]]
    return _clip(edit, step, {**binding, "low": edit.constant(0, x.kind, x.dtype)})


def _mean(edit: Editor, step: Step, binding: Binding) -> int | None:
    """sum(x) * c with c the reciprocal of the number of terms."""
    total = edit.producer.get(binding["total"])
    c = edit.scalar(binding["c"])
    if total is None or total.name != "sum" or c is None:
        return None
    source, out = edit.slots[total.inputs[0]], edit.slots[step.outputs[0]]
    terms = prod(source.shape[a] for a in total.params["axes"])
    if source.kind != "fixed" or edit.slots[binding["total"]].shape != out.shape or abs(c * terms - 1) > 1e-6:
        return None
    return edit.emit("mean", [total.inputs[0]], out, step.line, axes=tuple(total.params["axes"]))


def _times_rsqrt(edit: Editor, step: Step, binding: Binding) -> int | None:
    """x / sqrt(y) = x * rsqrt(y)."""
    y, out = edit.slots[binding["y"]], edit.slots[step.outputs[0]]
    if edit.slots[step.inputs[1]].shape != y.shape:
        return None
    root = edit.emit("rsqrt", [binding["y"]], y, step.line)
    return edit.emit("mul", [binding["x"], root], out, step.line)


def _common_factor(edit: Editor, step: Step, binding: Binding) -> int | None:
    """a * b + a * c = a * (b + c), and the same of differences."""
    a, b, c = (edit.slots[binding[name]] for name in "abc")
    out = edit.slots[step.outputs[0]]
    if binding["b"] == binding["c"] or b.shape != out.shape or c.shape != out.shape or out.kind != "fixed":
        return None
    if (b.public and c.public) or {a.kind, b.kind, c.kind} != {"fixed"}:
        return None
    return edit.emit("mul", [binding["a"], edit.emit(step.name, [binding["b"], binding["c"]], out, step.line)], out, step.line)


def _axes_of(edit: Editor, slot: int, name: str) -> tuple[int, ...] | None:
    step = edit.producer.get(slot)
    return tuple(step.params["axes"]) if step is not None and step.name == name else None


def _softmax(edit: Editor, step: Step, binding: Binding) -> int | None:
    """exp(x - max(x)) / sum(exp(x - max(x))) over the same axes, spread back over them."""
    exp = edit.producer[binding["e"]]
    shifted = edit.producer[exp.inputs[0]]
    out, x = edit.slots[step.outputs[0]], edit.slots[shifted.inputs[0]]
    axes = _axes_of(edit, binding["total"], "sum")
    if x.shape != out.shape or axes is None or axes != _axes_of(edit, binding["top"], "max"):
        return None
    if not _keeps_axes(edit, shifted.inputs[1], binding["top"], x, axes):
        return None
    if not _keeps_axes(edit, step.inputs[1], binding["total"], x, axes):
        return None
    return edit.emit("softmax", [shifted.inputs[0]], out, step.line, axes=axes)


def _keeps_axes(edit: Editor, slot: int, reduced: int, x: SlotType, axes: tuple[int, ...]) -> bool:
    """Say whether `slot` is `reduced` with its axes back in place, of length one or repeated."""
    middle = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    shape = edit.slots[slot].shape
    if shape not in {middle, x.shape}:
        return False
    places = tuple(a for a in range(len(x.shape)) if a not in axes)
    while slot != reduced:
        step = edit.producer[slot]
        source = edit.slots[step.inputs[0]].shape
        if step.name == "broadcast":
            expected = places if len(source) == len(places) else tuple(range(len(x.shape)))
            if tuple(step.params["axes"]) != expected:
                return False
        slot = step.inputs[0]
    return True


def _softmax_gradient(edit: Editor, step: Step, binding: Binding) -> int | None:
    """spread(g / total) * e, with e = exp(x - max(x)) and total = sum(e): g * (e / total) keeps the digits of small g."""
    total, exp = edit.producer[binding["total"]], edit.producer.get(binding["e"])
    if exp is None or exp.name != "exp":
        return None
    e, g = edit.slots[binding["e"]], edit.slots[binding["g"]]
    axes = tuple(total.params["axes"])
    reduced = edit.slots[binding["total"]]
    if e.kind != "fixed" or edit.slots[step.outputs[0]].shape != e.shape:
        return None
    places = tuple(a for a in range(len(e.shape)) if a not in axes)
    spread = edit.emit("broadcast", [binding["total"]], e, step.line, shape=e.shape, axes=places)
    share = edit.emit("divide", [binding["e"], spread], e, step.line)
    if len(g.shape) and g.shape != reduced.shape:
        middle = tuple(1 if a in axes else n for a, n in enumerate(e.shape))
        if g.shape not in {middle, e.shape}:
            return None
        wide = binding["g"]
    elif g.shape == reduced.shape and len(g.shape):
        declared = SlotType(e.shape, g.kind, g.dtype, g.public)
        wide = edit.emit("broadcast", [binding["g"]], declared, step.line, shape=e.shape, axes=places)
    else:
        wide = binding["g"]
    return edit.emit("mul", [share, wide], edit.slots[step.outputs[0]], step.line)


_HALF = 0.7071067811865476
_TANH = ("tanh", ("mul", 0.7978845608, ("add", "x", ("mul", 0.044715, ("mul", "x", ("square", "x"))))))
_EXP = ("as", "e", ("exp", ("sub", "x", ("spread", ("as", "top", ("max", "x"))))))
_TOTAL = ("as", "total", ("sum", "e"))

_PATTERNS: Mapping[str, tuple[tuple[tuple[Any, ...], bool, Rewrite], ...]] = {
    # a pattern, whether its inner parts must not be needed elsewhere, and what to write instead
    "maximum": ((("maximum", "x", 0), False, _unary("relu")),),
    "select": (
        (("select", ("gt", "x", 0), "x", 0), True, _unary("relu")),
        (("select", ("ge", "x", 0), "x", 0), True, _unary("relu")),
    ),
    "add": ((("add", ("mul", "a", "b"), ("mul", "a", "c")), False, _common_factor),),
    "sub": ((("sub", ("mul", "a", "b"), ("mul", "a", "c")), False, _common_factor),),
    "minimum": (
        (("minimum", ("maximum", "x", "low"), "high"), True, _clip),
        (("minimum", ("relu", "x"), "high"), True, _clip_relu),
    ),
    "reciprocal": (
        (("reciprocal", ("add", 1.0, ("exp", ("neg", "x")))), False, _unary("sigmoid")),
        (("reciprocal", ("sqrt", "x")), False, _unary("rsqrt")),
    ),
    "divide": (
        (("divide", _EXP, ("spread", _TOTAL)), False, _softmax),
        (("divide", "x", ("sqrt", "y")), False, _times_rsqrt),
    ),
    "mul": (
        (("mul", "total", "c"), False, _mean),
        (("mul", "x", ("sigmoid", "x")), True, _unary("silu")),
        (("mul", "x", ("mul", 0.5, ("add", 1.0, _TANH))), True, _unary("gelu", approximate=True)),
        (("mul", ("mul", 0.5, "x"), ("sub", 1.0, ("erf", ("mul", "x", -_HALF)))), True, _unary("gelu", approximate=False)),
        (("mul", "e", ("spread", ("divide", "g", ("spread", _TOTAL)))), False, _softmax_gradient),
    ),
}
