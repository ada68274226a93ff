"""The contract of a function, as data: where it is defined, how far it may err, and who learns what.

Tests read it to choose inputs and to judge results; the documentation's table of functions is generated from it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar, final

import numpy as np

from tacit.foundation.errors import ConfigError

Function = Callable[..., Coroutine[Any, Any, Any]]
F = TypeVar("F", bound=Function)

NOTHING = "nothing"


@final
@dataclass(frozen=True, slots=True)
class Domain:
    """Where a function keeps its promise: words, and an interval for each number operand where one says it all.

    `limits(bits)` returns ((low, high), ...), one pair per operand, or one pair for all; None where the words say more
    than intervals can.
    """

    text: str
    limits: Callable[[int], tuple[tuple[float, float], ...]] | None = None
    outside: str = "undefined: the ring wraps"


@final
@dataclass(frozen=True, slots=True)
class Error:
    """How far a result may lie from the exact value.

    `limit(bits, exact, *operands)` returns the largest allowed |result - exact| as an array or a number: `bits` are the
    result's fraction bits, `exact` the exact values of the result, `operands` the plain inputs.
    """

    text: str
    limit: Callable[..., Any]


def interval(low: float, high: float, *, outside: str = "undefined: the ring wraps") -> Domain:
    """The domain low <= x <= high."""
    return Domain(f"{low:g} <= x <= {high:g}", lambda _bits: ((low, high),), outside)


def magnitude(integer_bits: int, per_fraction: int, what: str = "x") -> Domain:
    """The domain |x| < 2**(integer_bits - per_fraction * bits)."""
    power = (
        f"{integer_bits} - {f'{per_fraction} * ' if per_fraction > 1 else ''}bits"
        if per_fraction
        else f"{integer_bits}"
    )

    def limits(bits: int) -> tuple[tuple[float, float], ...]:
        limit = 2.0 ** (integer_bits - per_fraction * bits)
        return ((-limit, limit),)

    return Domain(f"|{what}| < 2**({power})", limits)


def ulps(count: float) -> Error:
    """|result - exact| <= count * 2**-bits."""
    text = f"{count:g} ulp" if count == 1 else f"{count:g} ulps"
    return Error(text, lambda bits, _exact, *_operands: count * 2.0**-bits)


def absolute(size: float, count: float = 0) -> Error:
    """|result - exact| <= size + count * 2**-bits."""
    text = f"{size:.2g}" + (f" + {count:g} ulps" if count else "")
    return Error(text, lambda bits, _exact, *_operands: size + count * 2.0**-bits)


def relative(size: float, count: float = 0) -> Error:
    """|result - exact| <= size * |exact| + count * 2**-bits."""
    text = f"{size:.2g} relative" + (f" + {count:g} ulps" if count else "")
    return Error(text, lambda bits, exact, *_operands: size * np.abs(exact) + count * 2.0**-bits)


def bounded(text: str, limit: Callable[..., Any]) -> Error:
    """Any other bound: its words and its function (see `Error.limit`)."""
    return Error(text, limit)


EXACT = Error("exact", lambda _bits, _exact, *_operands: 0.0)
RANGE = magnitude(62, 1)
PRODUCT = magnitude(62, 2, "result")
ANY = Domain("every shared value", lambda bits: ((-(2.0 ** (62 - bits)), 2.0 ** (62 - bits)),), "nothing lies outside")


@final
@dataclass(frozen=True, slots=True)
class Contract:
    """What a function promises."""

    name: str
    summary: str
    domain: Domain
    error: Error
    reveals: str
    source: str
    legend: dict[str, str] = field(default_factory=dict)


def contract(
    *,
    domain: Domain | str = ANY,
    error: Error | str = EXACT,
    reveals: str = NOTHING,
    source: str = "",
    legend: dict[str, str] | None = None,
) -> Callable[[F], F]:
    """Attach a contract to a function; the function itself is returned, so that calls cost nothing more.

    A `domain` or `error` given as words carries no interval or bound, and tests must bring their own.
    """
    where = Domain(domain) if isinstance(domain, str) else domain
    how_far = Error(error, lambda *_: np.inf) if isinstance(error, str) else error

    def attach(function: F) -> F:
        name = getattr(function, "__name__", "")
        summary = (function.__doc__ or "").strip().split("\n")[0]
        promise = Contract(name.rstrip("_"), summary, where, how_far, reveals, source, dict(legend or {}))
        function.__contract__ = promise  # type: ignore[attr-defined]
        return function

    return attach


def contract_of(function: Function) -> Contract:
    """The contract of a library function; ConfigError if it has none."""
    promise = getattr(function, "__contract__", None)
    if not isinstance(promise, Contract):
        raise ConfigError(
            f"{getattr(function, '__name__', function)!r} carries no contract. Decorate it with @contract."
        )
    return promise
