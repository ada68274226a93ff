"""Prices before a run, and the check of ranges and errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tacit.compile.check import check
from tacit.compile.cost import NETWORKS, Cost, Network, cost
from tacit.compile.program import Program
from tacit.foundation.errors import ConfigError, FixedPointOverflow
from tacit.primitive.mpc.assisted.session import dry_session

NAMES = ("leader", "follower", "helper")
SESSIONS = {name: (lambda name=name: dry_session(NAMES, name)) for name in NAMES}
RNG = np.random.default_rng(9)
X = RNG.normal(size=(6, 4)).astype(np.float32)


def price(program: Program) -> Cost:
    return cost(program, SESSIONS)


def test_the_rounds_on_the_longest_chain_add_up(compiled: Callable[..., Program]) -> None:
    found = price(compiled(lambda x: jax.nn.softmax(jnp.tanh(x) @ x.T), X))
    assert sum(row.critical for row in found.rows) == found.rounds
    assert {row.name for row in found.rows} == {"tanh", "dot_general", "softmax"}
    for name in NAMES:
        assert sum(row.payload[name] for row in found.rows) == found.payload[name]


def test_a_local_program_is_free(compiled: Callable[..., Program]) -> None:
    found = price(compiled(lambda x: (x + x[::-1]).T.sum(0), X))
    assert (found.rounds, set(found.payload.values()), found.rows) == (0, {0}, ())


def test_time_follows_latency_and_bandwidth(compiled: Callable[..., Program]) -> None:
    found = price(compiled(jnp.tanh, X))
    assert found.seconds("loopback") < found.seconds("lan") < found.seconds("wan")
    slow = Network("slow", 1.0, 1e6)
    assert found.seconds(slow) > found.rounds / 2
    assert found.seconds() == found.seconds("lan")
    with pytest.raises(ConfigError, match="loopback, lan, wan"):
        found.seconds("moon")
    with pytest.raises(ConfigError):
        cost(compiled(jnp.tanh, X), {})


def test_a_cost_prints_as_a_table(compiled: Callable[..., Program]) -> None:
    found = price(compiled(jnp.tanh, X))
    text = str(found)
    assert "test_cost_and_check.py" not in text.splitlines()[0]
    assert "tanh" in text
    assert all(name in text for name in (*NAMES, *NETWORKS))
    assert found.__rich__().row_count == len(found.rows)


def test_a_check_reports_range_error_and_bits() -> None:
    report = check(lambda x: jnp.exp(x) @ x.T, X)
    assert report.ok
    assert report.max_error < 1e-3
    ranges = {entry.name: entry for entry in report.ranges}
    assert ranges["exp"].high == pytest.approx(np.exp(X).max(), rel=1e-3)
    assert ranges["exp"].headroom == pytest.approx(62 - 18 - np.log2(np.exp(X).max()), abs=0.01)
    assert report.suggested_bits is not None
    assert "suggested" in str(report)


def test_a_check_finds_overflow_and_says_where() -> None:
    report = check(lambda x: (x * 1e5) ** 2, X)
    assert not report.ok
    assert {entry.name for entry in report.overflows} == {"square"}
    assert "OVERFLOW in square at test_cost_and_check.py" in str(report)
    assert report.suggested_bits is not None
    assert report.suggested_bits < 18


def test_inputs_that_do_not_fit_are_refused() -> None:
    with pytest.raises(FixedPointOverflow):
        check(jnp.sin, np.array([1e15]))


def test_public_leaves_stay_public() -> None:
    report = check(lambda x, n, flag: x * n if flag else x, X, 3, True)
    assert report.steps == 1
    assert report.errors[0] < 1e-4


def test_integers_and_truth_values_are_checked() -> None:
    report = check(
        lambda x, i, t: (jnp.where(t, x, 0.0), i * i), X[0], np.arange(4), np.array([True, False, True, True])
    )
    assert report.errors == (pytest.approx(0, abs=1e-5), 0.0)


def test_nested_arguments_are_flattened() -> None:
    def function(arguments: Any) -> Any:
        return {"sum": arguments["a"] + arguments["b"][0]}

    assert check(function, {"a": X, "b": (X, "text")}).max_error < 1e-5
