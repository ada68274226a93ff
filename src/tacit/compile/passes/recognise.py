"""Named computations: what the library computes as a whole, cheaper or more accurately than its parts.

Also the quotients that a gradient of a logarithm leaves behind, and that cancel: in fixed point a / s * (s * b) has lost the
digits of a small s, where a * b has not.
"""

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
            if exclusive and any(
                slot < len(uses) and uses[slot] > 1 and slot not in binding.values() for slot in inside
            ):
                continue  # a part is needed elsewhere: it is computed anyway
            out = rewrite(edit, step, binding)
            if out is not None:
                return out
    return None


def _unary(name: str, of: str = "x", **params: object) -> Rewrite:
    """The library function of a variable."""

    def rewrite(edit: Editor, step: Step, binding: Binding) -> int | None:
        out, x = edit.slots[step.outputs[0]], edit.slots[binding[of]]
        if x.shape != out.shape or x.kind != "fixed" or x.public:
            return None
        return edit.emit(name, [binding[of]], out, step.line, **params)

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
    return edit.emit(
        "mul", [binding["a"], edit.emit(step.name, [binding["b"], binding["c"]], out, step.line)], out, step.line
    )


def _axes_of(edit: Editor, slot: int, name: str) -> tuple[int, ...] | None:
    step = edit.producer.get(slot)
    return tuple(step.params["axes"]) if step is not None and step.name == name else None


def _softmax(edit: Editor, step: Step, binding: Binding) -> int | None:
    """exp(x - max(x)) / sum(exp(x - max(x))) over the same axes, spread back over them."""
    axes = _row_axes(edit, binding)
    out = edit.slots[step.outputs[0]]
    if axes is None or out.shape != edit.slots[binding["x"]].shape:
        return None
    if not _keeps_axes(edit, step.inputs[1], binding["total"], out, axes):
        return None
    return _softmax_of(edit, binding["x"], axes, out, step.line)


def _softmax_of(edit: Editor, x: int, axes: tuple[int, ...], out: SlotType, line: str) -> int:
    """softmax, by way of log_softmax where that is computed anyway."""
    for step in edit.steps:
        if step.name == "log_softmax" and step.inputs[0] == x and tuple(step.params["axes"]) == axes:
            return edit.emit("exp", step.outputs, out, line)
    return edit.emit("softmax", [x], out, line, axes=axes)


def _log_softmax(edit: Editor, step: Step, binding: Binding) -> int | None:
    """(x - max(x)) - log(sum(exp(x - max(x))))."""
    axes = _row_axes(edit, binding)
    out = edit.slots[step.outputs[0]]
    if axes is None or out.shape != edit.slots[binding["x"]].shape:
        return None
    if not _keeps_axes(edit, step.inputs[1], binding["total"], out, axes):
        return None
    return edit.emit("log_softmax", [binding["x"]], out, step.line, axes=axes)


def _logsumexp(edit: Editor, step: Step, binding: Binding) -> int | None:
    """log(sum(exp(x - max(x)))) + max(x)."""
    axes = _row_axes(edit, binding)
    out, total = edit.slots[step.outputs[0]], edit.slots[binding["total"]]
    if axes is None or out.size != total.size:
        return None
    result = edit.emit("logsumexp", [binding["x"]], total, step.line, axes=axes)
    return result if out.shape == total.shape else edit.emit("reshape", [result], out, step.line, shape=out.shape)


def _row_axes(edit: Editor, binding: Binding) -> tuple[int, ...] | None:
    """The axes over which both the maximum and the sum run, if x - max(x) was spread back over them."""
    axes = _axes_of(edit, binding["total"], "sum")
    x = edit.slots[binding["x"]]
    if axes is None or axes != _axes_of(edit, binding["top"], "max"):
        return None
    shifted = edit.producer[binding["shift"]]
    fits = x.shape == edit.slots[binding["shift"]].shape and _keeps_axes(
        edit, shifted.inputs[1], binding["top"], x, axes
    )
    return axes if fits else None


def _logaddexp(edit: Editor, step: Step, binding: Binding) -> int | None:
    """max(x, y) + log1p(exp(-|x - y|))."""
    x, y, out = edit.slots[binding["x"]], edit.slots[binding["y"]], edit.slots[step.outputs[0]]
    if x.shape != out.shape or y.shape != out.shape or x.public or y.public:
        return None
    return edit.emit("logaddexp", [binding["x"], binding["y"]], out, step.line)


def _log_of_sigmoid(edit: Editor, step: Step, binding: Binding) -> int | None:
    """log(sigmoid(x)) = -softplus(-x)."""
    out = edit.slots[step.outputs[0]]
    turned = edit.emit("neg", [binding["x"]], out, step.line)
    return edit.emit("neg", [edit.emit("softplus", [turned], out, step.line)], out, step.line)


def _log_of_complement(edit: Editor, step: Step, binding: Binding) -> int | None:
    """log(1 - sigmoid(x)) = -softplus(x)."""
    out = edit.slots[step.outputs[0]]
    return edit.emit("neg", [edit.emit("softplus", [binding["x"]], out, step.line)], out, step.line)


def _cancel(edit: Editor, step: Step, binding: Binding) -> int | None:
    """(a / s) * (s * b) = a * b."""
    out = edit.slots[step.outputs[0]]
    if any(edit.slots[binding[name]].shape != out.shape for name in "as"):
        return None
    return edit.emit("mul", [binding["a"], binding["b"]], out, step.line)


def _cancel_both(edit: Editor, step: Step, binding: Binding) -> int | None:
    """(a / s - c / t) * (s * t) = a * t - c * s."""
    out = edit.slots[step.outputs[0]]
    if any(edit.slots[binding[name]].shape != out.shape for name in ("a", "s", "c", "t")):
        return None
    first = edit.emit("mul", [binding["a"], binding["t"]], out, step.line)
    second = edit.emit("mul", [binding["c"], binding["s"]], out, step.line)
    return edit.emit("sub", [first, second], out, step.line)


def _difference(x: str, y: str) -> Rewrite:
    """x - y, for what is left of a cross-entropy and its gradient: a (1 - s) - (1 - a) s = a - s."""

    def rewrite(edit: Editor, step: Step, binding: Binding) -> int | None:
        out = edit.slots[step.outputs[0]]
        if any(edit.slots[binding[name]].shape != out.shape for name in (x, y)):
            return None
        return edit.emit("sub", [binding[x], binding[y]], out, step.line)

    return rewrite


def _less_product(*, turned: bool) -> Rewrite:
    """a (b - z) + (1 - a) b = b - a z, or with all signs turned."""

    def rewrite(edit: Editor, step: Step, binding: Binding) -> int | None:
        out = edit.slots[step.outputs[0]]
        if any(edit.slots[binding[name]].shape != out.shape for name in "abz"):
            return None
        product = edit.emit("mul", [binding["a"], binding["z"]], out, step.line)
        sides = [product, binding["b"]] if turned else [binding["b"], product]
        return edit.emit("sub", sides, out, step.line)

    return rewrite


def _keeps_axes(edit: Editor, slot: int, source: int, x: SlotType, axes: tuple[int, ...]) -> bool:
    """Say whether `slot` is `source` (or its logarithm) with its axes back in place, of length one or repeated."""
    middle = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    places = tuple(a for a in range(len(x.shape)) if a not in axes)
    if edit.slots[slot].shape not in {middle, x.shape}:
        return False
    while slot != source:
        step = edit.producer[slot]
        shape = edit.slots[step.inputs[0]].shape
        if shape not in {middle, x.shape, edit.slots[source].shape}:
            return False
        if step.name == "broadcast":
            expected = places if len(shape) == len(places) else tuple(range(len(x.shape)))
            if tuple(step.params["axes"]) != expected:
                return False
        slot = step.inputs[0]
    return True


def _softmax_gradient(edit: Editor, step: Step, binding: Binding) -> int | None:
    """spread(g / total) * e, with e = exp(x - max(x)) and total = sum(e): g * (e / total) keeps the digits of small g."""
    axes = _row_axes(edit, binding)
    e, g, reduced = (edit.slots[binding[name]] for name in ("e", "g", "total"))
    if axes is None or edit.slots[step.outputs[0]].shape != e.shape:
        return None
    places = tuple(a for a in range(len(e.shape)) if a not in axes)
    share = _softmax_of(edit, binding["x"], axes, e, step.line)
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
_SHIFT = ("as", "shift", ("sub", "x", ("spread", ("as", "top", ("max", "x")))))
_EXP = ("as", "e", ("exp", _SHIFT))
_TOTAL = ("as", "total", ("sum", "e"))
_LOG = ("log", ("spread", ("as", "total", ("sum", ("exp", "shift")))))
_SMOOTH = ("log1p", ("exp", ("neg", ("abs", "x"))))

_PATTERNS: Mapping[str, tuple[tuple[tuple[Any, ...], bool, Rewrite], ...]] = {
    # a pattern, whether its inner parts must not be needed elsewhere, and what to write instead
    "maximum": ((("maximum", "x", 0), False, _unary("relu")),),
    "select": (
        (("select", ("gt", "x", 0), "x", 0), True, _unary("relu")),
        (("select", ("ge", "x", 0), "x", 0), True, _unary("relu")),
    ),
    "add": (
        (("add", ("mul", "a", ("sub", "b", "z")), ("mul", ("sub", 1.0, "a"), "b")), False, _less_product(turned=False)),
        (("add", ("mul", "a", "b"), ("mul", "a", "c")), False, _common_factor),
        (("add", ("relu", "x"), _SMOOTH), False, _unary("softplus")),
        (("add", ("relu", ("as", "y", ("neg", "x"))), _SMOOTH), False, _unary("softplus", of="y")),
        (("add", ("maximum", "x", "y"), ("log1p", ("exp", ("neg", ("abs", ("sub", "x", "y")))))), False, _logaddexp),
        (("add", ("log", ("spread", ("as", "total", ("sum", _EXP)))), ("spread", "top")), False, _logsumexp),
    ),
    "sub": (
        (("sub", ("mul", "a", ("sub", 1.0, "s")), ("mul", ("sub", 1.0, "a"), "s")), False, _difference("a", "s")),
        (("sub", ("mul", "b", ("sub", 1.0, "a")), ("mul", "a", ("sub", "z", "b"))), False, _less_product(turned=False)),
        (("sub", ("mul", "a", ("sub", "z", "b")), ("mul", ("sub", 1.0, "a"), "b")), False, _less_product(turned=True)),
        (("sub", ("mul", ("sub", 1.0, "a"), "s"), ("mul", "a", ("sub", 1.0, "s"))), False, _difference("s", "a")),
        (("sub", ("mul", "a", "b"), ("mul", "a", "c")), False, _common_factor),
        (("sub", _SHIFT, ("spread", _LOG)), False, _log_softmax),
    ),
    "log": (
        (("log", ("sigmoid", "x")), False, _log_of_sigmoid),
        (("log", ("sub", 1.0, ("sigmoid", "x"))), False, _log_of_complement),
    ),
    "exp": ((("exp", ("sub", "x", ("softplus", "x"))), False, _unary("sigmoid")),),
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
        (("mul", 0.5, ("mul", "x", ("add", 1.0, _TANH))), True, _unary("gelu", approximate=True)),
        (("mul", ("mul", 0.5, "x"), ("erfc", ("mul", "x", -_HALF))), True, _unary("gelu", approximate=False)),
        (("mul", 0.5, ("mul", "x", ("erfc", ("mul", "x", -_HALF)))), True, _unary("gelu", approximate=False)),
        (("mul", _EXP, ("spread", ("divide", "g", ("spread", _TOTAL)))), False, _softmax_gradient),
        (("mul", ("divide", "a", "s"), ("mul", "s", "b")), False, _cancel),
        (("mul", ("sub", ("divide", "a", "s"), ("divide", "c", "t")), ("mul", "s", "t")), False, _cancel_both),
    ),
}
