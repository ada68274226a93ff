"""Does a function fit fixed point? Its program on the Ideal protocol, bit for bit, beside the same function in float64.

The report has the range of every intermediate, the room it leaves, the error of every output, and the number of fraction
bits that served best on the samples. Range and error are those of the samples given: choose them as large as real data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log2
from typing import Any, final

import jax
import numpy as np
from numpy.typing import NDArray

from tacit.compile.execute import execute
from tacit.compile.front.jax import trace
from tacit.compile.passes import optimise
from tacit.compile.plan import DEFAULT_BITS, Plan, prepare
from tacit.compile.program import Program
from tacit.foundation.errors import FixedPointOverflow
from tacit.primitive.driver import Driver
from tacit.primitive.local import decode, encode
from tacit.primitive.mpc.ideal import ClearArith, ClearBits, IdealKernel
from tacit.primitive.mpc.kernel import VALUE_BITS
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Value
from tacit.primitive.profile import Where

CANDIDATES = (12, 14, 16, 18, 20, 22, 24, 26)


@final
@dataclass(frozen=True, slots=True)
class Range:
    """The values that the steps of one name and line took."""

    name: str
    line: str
    low: float
    high: float
    headroom: float
    """Bits between the largest value and the end of the range that comparison and truncation allow."""


@final
@dataclass(frozen=True, slots=True)
class Overflow:
    """A value that left the range, even if only inside a step."""

    name: str
    line: str
    bits: float
    """log2 of its size in ring units; 62 and more do not fit."""


@final
@dataclass(frozen=True, slots=True)
class Check:
    """The report of `check`. Print it."""

    fraction_bits: int
    ranges: tuple[Range, ...]
    overflows: tuple[Overflow, ...]
    errors: tuple[float, ...]
    """The largest |secure - float64| of each output, in flat order."""
    suggested_bits: int | None
    """The fraction bits with the smallest error and no overflow among those tried; None if all overflow."""
    trials: tuple[tuple[int, float, bool], ...]
    """(fraction bits, largest error, whether something overflowed)."""
    steps: int

    @property
    def ok(self) -> bool:
        """Whether nothing overflowed."""
        return not self.overflows

    @property
    def max_error(self) -> float:
        """The largest error of all outputs."""
        return max(self.errors, default=0.0)

    def __str__(self) -> str:
        lines = [f"{'operation':22} {'line':24} {'lowest':>12} {'highest':>12} {'room':>8}"]
        lines += [
            f"{r.name:22} {r.line:24} {r.low:12.5g} {r.high:12.5g} {r.headroom:5.1f} bit"
            for r in sorted(self.ranges, key=lambda r: r.headroom)
        ]
        lines += [
            f"OVERFLOW in {o.name}{f' at {o.line}' if o.line else ''}: 2**{o.bits:.1f} in ring units, 2**{VALUE_BITS} is the end"
            for o in self.overflows
        ]
        lines.append(f"{self.fraction_bits} fraction bits: largest error {self.max_error:.3g}")
        lines += [
            f"  {bits} bits: error {error:.3g}{', overflow' if over else ''}" for bits, error, over in self.trials
        ]
        if self.suggested_bits is None:
            lines.append("no number of fraction bits fits: scale the inputs")
        else:
            lines.append(f"suggested: {self.suggested_bits} fraction bits")
        return "\n".join(lines)


def check(
    function: Callable[..., Any], *samples: Any, bits: int = DEFAULT_BITS, candidates: Sequence[int] = CANDIDATES
) -> Check:
    """Run a function on sample inputs as a secure program would, and compare with float64.

    Array leaves of `samples` are taken as secret, everything else (Python numbers, strings) as public.
    Errors: UnsupportedOperation as in `trace`; FixedPointOverflow when a sample itself does not fit.
    """
    leaves, tree = jax.tree.flatten(samples)
    specs = [jax.ShapeDtypeStruct(x.shape, _traced_dtype(x)) if _is_array(x) else x for x in leaves]
    traced = trace(function, *jax.tree.unflatten(tree, specs))
    program = optimise(traced.program)
    secrets = [np.asarray(leaf) for leaf in leaves if _is_array(leaf)]
    exact = _reference(function, leaves, tree)
    run = _Clear(program, secrets, bits)
    trials = []
    for candidate in sorted({*candidates, bits}):
        try:
            trial = run if candidate == bits else _Clear(program, secrets, candidate)
        except FixedPointOverflow:
            trials.append((candidate, inf, True))
            continue
        trials.append((candidate, max(trial.errors(exact), default=0.0), bool(trial.overflows())))
    fitting = [(error, candidate) for candidate, error, over in trials if not over]
    return Check(
        fraction_bits=bits,
        ranges=run.ranges(),
        overflows=run.overflows(),
        errors=tuple(run.errors(exact)),
        suggested_bits=min(fitting)[1] if fitting else None,
        trials=tuple(trials),
        steps=program.count(),
    )


def clear_error(function: Callable[..., Any], *samples: Any, bits: int = DEFAULT_BITS) -> float:
    """The largest error of a function on array samples, all secret: `check` without ranges and trials."""
    leaves, tree = jax.tree.flatten(samples)
    specs = [jax.ShapeDtypeStruct(leaf.shape, _traced_dtype(leaf)) for leaf in leaves]
    program = optimise(trace(function, *jax.tree.unflatten(tree, specs)).program)
    outputs = run_clear(program, leaves, bits)
    exact = _reference(function, leaves, tree)
    errors = [
        np.max(np.abs(got.astype(np.float64) - want), initial=0.0) for got, want in zip(outputs, exact, strict=True)
    ]
    return float(max(errors, default=0.0))


def run_clear(program: Program, inputs: Sequence[Any], bits: int = DEFAULT_BITS) -> list[NDArray[Any]]:
    """The outputs of a program on plain inputs, computed by the Ideal protocol. No security at all."""
    return _Clear(program, [np.asarray(x) for x in inputs], bits).outputs


class _Clear:
    """One run on the Ideal protocol, with every value seen."""

    def __init__(self, program: Program, inputs: Sequence[NDArray[Any]], bits: int) -> None:
        self._seen: dict[tuple[str, str], tuple[float, float, float]] = {}
        self._largest: dict[tuple[str, str], float] = {}
        self._names: dict[int, dict[int, tuple[str, str]]] = {}
        self._driver = Driver("ideal", {})
        kernel = IdealKernel(driver=self._driver, watch=self._watch, where=self._where)
        plan = prepare(program, bits)
        secrets = [secret(x, bits) for x in inputs]
        results = self._driver.run(execute(kernel, self._driver, plan, secrets, observer=self))
        self.outputs = [clear(value) for value in results]

    def __call__(self, plan: Plan, slot: int, value: Value) -> None:
        if not isinstance(value, (Fixed, Integer)):
            return
        names = self._names.get(id(plan))
        if names is None:
            names = {out: (s.name, s.line) for s in plan.program.steps for out in s.outputs}
            self._names[id(plan)] = names
        reals = clear(value)
        if not reals.size:
            return
        ring = float(np.abs(reals).max()) * 2.0 ** (value.bits if isinstance(value, Fixed) else 0)
        low, high, top = self._seen.get(names[slot], (inf, -inf, 0.0))
        self._seen[names[slot]] = (min(low, float(reals.min())), max(high, float(reals.max())), max(top, ring))

    def ranges(self) -> tuple[Range, ...]:
        """What the observer saw, by operation and line."""
        return tuple(
            Range(name, line, low, high, VALUE_BITS - log2(ring) if ring else float(VALUE_BITS))
            for (name, line), (low, high, ring) in self._seen.items()
        )

    def overflows(self) -> tuple[Overflow, ...]:
        """What the kernel's sentinels saw leave the range."""
        return tuple(
            Overflow(name, line, log2(size)) for (name, line), size in self._largest.items() if size >= 2.0**VALUE_BITS
        )

    def errors(self, exact: Sequence[NDArray[Any]]) -> list[float]:
        """The largest error of each output."""
        pairs = zip(self.outputs, exact, strict=True)
        return [float(np.max(np.abs(got.astype(np.float64) - want), initial=0.0)) for got, want in pairs]

    def _watch(self, name: str, line: str, size: float) -> None:
        key = (name, line)
        if size > self._largest.get(key, 0.0):
            self._largest[key] = size

    def _where(self) -> Where:
        return self._driver.where or Where(0, "program")


def secret(values: NDArray[Any], bits: int) -> Value:
    """A plain array as a value of the Ideal protocol."""
    if values.dtype.kind == "f":
        return Fixed(ClearArith(encode(values.astype(np.float64), bits)), bits)
    if values.dtype.kind == "b":
        return Boolean(ClearBits(values.astype(np.uint8)))
    return Integer(ClearArith(values.astype(np.int64).view(np.uint64)))


def clear(value: Value) -> NDArray[Any]:
    """The plain array of a value of the Ideal protocol."""
    if isinstance(value, Fixed):
        return decode(value.share.ring, value.bits)  # type: ignore[attr-defined]
    if isinstance(value, Integer):
        return np.asarray(value.share.ring).view(np.int64)  # type: ignore[attr-defined]
    if isinstance(value, Boolean):
        return np.asarray(value.share.bits).astype(np.bool_)  # type: ignore[attr-defined]
    return np.asarray(value)


def _reference(function: Callable[..., Any], leaves: list[Any], tree: Any) -> list[NDArray[Any]]:
    with jax.enable_x64(True):
        wide = [_widened(leaf) if _is_array(leaf) else leaf for leaf in leaves]
        results = jax.tree.leaves(function(*jax.tree.unflatten(tree, wide)))
        return [np.asarray(result).astype(np.float64) for result in results]


def _widened(leaf: Any) -> Any:
    array = np.asarray(leaf)
    return jax.numpy.asarray(array, np.float64 if array.dtype.kind == "f" else array.dtype)


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, (np.ndarray, np.generic, jax.Array))


def _traced_dtype(leaf: Any) -> Any:
    dtype = np.asarray(leaf).dtype
    return {"float64": np.dtype(np.float32), "int64": np.dtype(np.int32)}.get(str(dtype), dtype)
