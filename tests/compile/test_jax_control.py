"""Loops and branches: what public values decide happens while tracing, the rest is a loop step or a selection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from tacit.foundation.errors import SecrecyError, UnsupportedOperation

RNG = np.random.default_rng(5)
X = RNG.normal(size=3).astype(np.float32)
ROWS = RNG.normal(size=(4, 2)).astype(np.float32)

CASES: dict[str, tuple[Any, ...]] = {
    "fori": (lambda x: lax.fori_loop(0, 4, lambda i, c: c * 0.5 + i, x), X),
    "while": (lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * 2 + c[0]), (0, x))[1], X),
    "while_never": (lambda x: lax.while_loop(lambda c: c[0] < 0, lambda c: (c[0] + 1, c[1] * 2), (0, x)), X),
    "scan": (lambda x: lax.scan(lambda c, r: (c + r, c * r), jnp.zeros(2), x), ROWS),
    "scan_reverse": (lambda x: lax.scan(lambda c, r: (c + r, c * r), jnp.zeros(2), x, reverse=True), ROWS),
    "scan_public_rows": (lambda x: lax.scan(lambda c, r: (c * r, c), x, jnp.arange(1.0, 4.0)), X),
    "scan_public_result": (lambda x: lax.scan(lambda c, r: (c * r, r + 1), x, jnp.arange(1.0, 4.0)), X),
    "scan_constant_carry": (lambda x: lax.scan(lambda c, r: ((c[1], c[0] + r), c[0]), (x, x), jnp.arange(3.0)), X),
    "scan_swapped": (lambda x: lax.scan(lambda c, r: ((c[1], c[0]), r), (x, 2 * x), jnp.arange(3.0)), X),
    "scan_once": (lambda x: lax.scan(lambda c, r: (c * r, (c + r, r)), x, jnp.ones((1, 3))), X),
    "scan_empty": (lambda x: lax.scan(lambda c, r: (c + r, c), x, jnp.zeros((0, 3))), X),
    "scan_replaced_carry": (lambda x: lax.scan(lambda c, r: (jnp.ones(3), c), x, None, length=3), X),
    "nested": (
        lambda x: lax.scan(lambda c, r: lax.scan(lambda d, e: (d + e * r, d), c, jnp.arange(3.0)), x, jnp.arange(2.0)),
        X,
    ),
    "while_in_scan": (
        lambda x: lax.fori_loop(
            0, 3, lambda i, c: lax.while_loop(lambda s: s[0] < i, lambda s: (s[0] + 1, s[1] * 1.5), (0, c))[1], x
        ),
        X,
    ),
    "public_position_in_loop": (lambda x: lax.fori_loop(0, 4, lambda i, c: c.at[i].set(c[i] * 2.0 + i), x), ROWS),
    "slice_in_loop": (
        lambda x: lax.fori_loop(0, 3, lambda i, c: c + lax.dynamic_slice(x, (i, 0), (2, 2)).sum(), 0.0),
        ROWS,
    ),
    "public_branch_in_loop": (
        lambda x: lax.fori_loop(0, 4, lambda i, c: lax.cond(i % 2 == 0, lambda c: c * 2, lambda c: c - 1, c), x),
        X,
    ),
    "secret_branch": (lambda x: lax.cond(x.sum() > 0, lambda a: a * 2, lambda a: a - 1, x), X),
    "secret_branch_of_truth": (lambda x: lax.cond(x.sum() > 0, lambda a: a > 1, lambda a: a < 1, x), X),
    "secret_switch": (lambda i, x: lax.switch(i, [lambda a: a * 2, lambda a: a - 1, jnp.square], x), np.int32(2), X),
    "public_branch": (lambda x: lax.cond(True, lambda a: a * 2, lambda a: a - 1, x), X),
    "gradient_of_scan": (
        jax.grad(lambda v: lax.scan(lambda c, r: (c * r, c), v, jnp.arange(1.0, 3.0))[1].sum()),
        X,
    ),
    "associative": (lambda x: lax.associative_scan(jnp.add, x), ROWS),
    "map": (lambda x: lax.map(lambda r: r * 2 + r.sum(), x), ROWS),
    "jit": (jax.jit(lambda x: jax.jit(jnp.square)(x) + 1), X),
    "checkpoint": (jax.grad(jax.checkpoint(lambda u: (u**3).sum())), X),
    "vmap": (jax.vmap(lambda r: r * r.sum()), ROWS),
    "hessian": (jax.hessian(lambda x: (x**3).sum()), X),
    "jacobian": (jax.jacfwd(lambda x: x * x.sum()), X),
    "custom_vjp": (jax.grad(lambda v: _clipped(v).sum()), X),
}


@jax.custom_vjp
def _clipped(x: Any) -> Any:
    return x * 2


_clipped.defvjp(lambda x: (x * 2, x), lambda x, g: (jnp.clip(g * x, -1, 1),))


@pytest.mark.parametrize("name", CASES)
def test_control(name: str, compare: Callable[..., Any]) -> None:
    function, *arguments = CASES[name]
    compare(function, *arguments)


@pytest.mark.parametrize("name", ["fori", "scan", "scan_reverse", "nested", "scan_constant_carry"])
def test_control_without_passes(name: str, compare: Callable[..., Any]) -> None:
    function, *arguments = CASES[name]
    compare(function, *arguments, passes=False)


def test_a_public_counter_leaves_no_trace(compiled: Callable[..., Any]) -> None:
    program = compiled(lambda x: lax.fori_loop(0, 4, lambda i, c: c * 0.5, x), X)
    (step,) = program.steps
    assert step.name == "scan"
    assert [inner.name for inner in step.bodies[0].steps] == ["mul"]
    assert len(step.inputs) == 1


def test_a_secret_while_is_refused_by_line(compiled: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedOperation, match=r"secret at test_jax_control\.py:\d+.*fori_loop"):
        compiled(lambda x: lax.while_loop(lambda c: c.sum() < 3, lambda c: c + 1, x), X)


def test_python_control_flow_on_a_secret_is_refused(compiled: Callable[..., Any]) -> None:
    with pytest.raises(SecrecyError, match=r"jnp\.where"):
        compiled(lambda x: x if x.sum() > 0 else -x, X)


@pytest.mark.parametrize(
    ("function", "cure"),
    [
        (lambda x: jnp.fft.fft(x).real, "DFT"),
        (lambda x: jnp.linalg.svd(x[None] * x[:, None])[1], "power iteration"),
        (lambda x: jax.pure_callback(lambda v: v, jax.ShapeDtypeStruct((3,), jnp.float32), x), "Reveal"),
        (lambda x: jnp.nextafter(x, 1.0), "grid"),
    ],
)
def test_refusals_name_line_and_cure(function: Callable[..., Any], cure: str, compiled: Callable[..., Any]) -> None:
    with pytest.raises(UnsupportedOperation, match=rf"at test_jax_control\.py:\d+\. .*{cure}"):
        compiled(function, X)


def test_lines_are_the_users(compiled: Callable[..., Any]) -> None:
    def inner(x: Any) -> Any:
        return jnp.maximum(x, 1.5)  # here

    program = compiled(lambda x: inner(x * 2), X)
    first = inner.__code__.co_firstlineno
    assert next(step.line for step in program.steps if step.name == "maximum") == f"test_jax_control.py:{first + 1}"
