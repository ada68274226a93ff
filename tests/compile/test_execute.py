"""The interpreter: parties agree, estimates are exact, independent steps share rounds, loops overlap."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tacit.compile.bind import prepared
from tacit.compile.check import secret
from tacit.compile.cost import cost
from tacit.compile.execute import execute
from tacit.compile.plan import CACHED_PLANS, Plan, prepare
from tacit.compile.program import Program, SlotType, Step
from tacit.foundation.errors import InputError
from tacit.primitive.driver import Driver, run_together
from tacit.primitive.local import decode
from tacit.primitive.mpc.assisted.session import dry_session, open_session
from tacit.primitive.mpc.ideal import IdealKernel
from tacit.primitive.mpc.value import Fixed
from tacit.resource.channel import MemoryChannel

NAMES = ("leader", "follower", "helper")
BITS = 18
RNG = np.random.default_rng(8)


def reals(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def train(w: Any, x: Any, y: Any) -> Any:
    def step(w: Any, batch: Any) -> Any:
        rows, truth = batch
        p = jax.nn.sigmoid(rows @ w)
        return w - 0.5 * (rows.T @ (p - truth)) / len(truth), jnp.abs(p - truth).mean()

    return jax.lax.scan(step, w, (x.reshape(4, 8, 3), y.reshape(4, 8)))


def classify(w: Any, x: Any, y: Any) -> Any:
    hidden = jax.nn.relu(x @ w.reshape(3, 1) + y[:, None])
    return jax.nn.softmax(hidden - x), jnp.sort(x, axis=0), jnp.argmax(x, 1)


ARGUMENTS = (reals(3), reals(32, 3), (reals(32) > 0).astype(np.float32))


def run_assisted(program: Program) -> tuple[list[Any], dict[str, tuple[int, int]]]:
    """Outputs as everybody sees them, and (rounds, bytes) of the program alone by party."""
    mesh = MemoryChannel.mesh(NAMES)
    drivers = {name: Driver(name, mesh[name]) for name in NAMES}
    kernels = dict(zip(NAMES, run_together(*[(d, open_session(d, NAMES)) for d in drivers.values()]), strict=True))
    spent: dict[str, tuple[int, int]] = {}

    async def body(name: str) -> list[Any]:
        k, driver = kernels[name], drivers[name]
        inputs = []
        for array in ARGUMENTS:
            ring = secret(np.asarray(array), BITS).share.ring  # type: ignore[union-attr]
            share = await k.share(NAMES[0], array.shape, ring if name == NAMES[0] else None)
            inputs.append(Fixed(share, BITS))
        before = (driver.profile.rounds, driver.profile.payload)
        outputs = await execute(k, driver, prepare(program, BITS), inputs)
        spent[name] = (driver.profile.rounds - before[0], driver.profile.payload - before[1])
        results = []
        for value in outputs:
            assert not isinstance(value, np.ndarray)
            ring = await k.reveal(value.share, NAMES[:2])  # type: ignore[arg-type]
            results.append(ring if ring is None else decode(ring, value.bits if isinstance(value, Fixed) else 0))
        return results

    return run_together(*[(drivers[name], body(name)) for name in NAMES])[0], spent


@pytest.mark.parametrize("function", [train, classify])
def test_a_real_protocol_agrees_with_jax_and_with_its_estimate(
    function: Callable[..., Any], compiled: Callable[..., Program]
) -> None:
    program = compiled(function, *ARGUMENTS)
    outputs, spent = run_assisted(program)
    for got, want in zip(outputs, jax.tree.leaves(function(*map(jnp.asarray, ARGUMENTS))), strict=True):
        np.testing.assert_allclose(got, want, rtol=0, atol=2e-3)
    if function is train:  # a sort's batches depend on the random order, so only the other is exact
        sessions = {name: (lambda name=name: dry_session(NAMES, name)) for name in NAMES}
        estimate = cost(program, sessions, bits=BITS)
        assert {rounds for rounds, _ in spent.values()} == {estimate.rounds}
        assert {name: payload for name, (_, payload) in spent.items()} == dict(estimate.payload)


def rounds_of(program: Program) -> int:
    driver = Driver("ideal", {})
    kernel = IdealKernel(driver=driver)
    inputs = [secret(np.ones(program.slots[s].shape, np.float32), BITS) for s in program.inputs]
    driver.run(execute(kernel, driver, prepare(program, BITS), inputs))
    return driver.profile.rounds


def test_independent_steps_share_rounds(compiled: Callable[..., Program]) -> None:
    one = rounds_of(compiled(jnp.tanh, reals(3)))
    many = rounds_of(compiled(lambda x: [jnp.tanh(x + i) for i in range(10)], reals(3)))
    assert many == one


def test_stacked_results_of_a_loop_keep_no_iteration_waiting(compiled: Callable[..., Program]) -> None:
    def loop(x: Any, *, recorded: bool) -> Any:
        def step(c: Any, _: Any) -> Any:
            c = c * x
            return c, jnp.sqrt(jnp.exp(c)) if recorded else 0.0

        return jax.lax.scan(step, x, None, length=20)

    plain = rounds_of(compiled(lambda x: loop(x, recorded=False)[0], reals(3)))
    recorded = rounds_of(compiled(lambda x: loop(x, recorded=True), reals(3)))
    assert recorded < plain + 60  # and not 20 times the rounds of what is recorded


def test_a_loop_without_interaction_is_not_deep(compiled: Callable[..., Program]) -> None:
    program = compiled(lambda x: jax.lax.scan(lambda c, r: (c + r, c), x, jnp.arange(3000.0)), reals(2))
    assert rounds_of(program) == 0


def test_inputs_are_checked(compiled: Callable[..., Program]) -> None:
    program = compiled(jnp.tanh, reals(3))
    driver = Driver("ideal", {})
    kernel = IdealKernel(driver=driver)
    with pytest.raises(InputError, match="1 inputs"):
        driver.run(execute(kernel, driver, program, []))
    with pytest.raises(InputError, match="shape"):
        driver.run(execute(kernel, driver, program, [secret(reals(4), BITS)]))


def test_plans_are_cached(compiled: Callable[..., Program]) -> None:
    program = compiled(jnp.tanh, reals(3))
    assert prepare(program, BITS) is prepare(compiled(jnp.tanh, reals(3)), BITS)
    assert prepare(program, BITS) is not prepare(program, 16)
    for bits in range(4, 4 + CACHED_PLANS):
        prepare(program, bits)
    assert prepare(program, BITS).bits == BITS


def test_sentinels_saturate() -> None:
    limit = 2.0 ** (60 - BITS)
    array = np.array([np.inf, -np.inf, np.nan, -3e38, 1.0])
    np.testing.assert_array_equal(prepared(array, BITS), [limit, -limit, 0, -limit, 1])


class Still:
    """A kernel whose operations do nothing, so that only the interpreter is timed."""

    def add(self, x: Any, y: Any) -> Any:
        return x

    async def product(self, form: Any, x: Any, y: Any, truncate: int = 0) -> Any:
        return x


@pytest.mark.parametrize(("name", "limit"), [("add", 10e-6), ("mul", 25e-6)])
def test_a_step_costs_microseconds(name: str, limit: float) -> None:
    """Measured 1.7 and 3.7 microseconds; the limit allows for a busy machine."""
    declared = SlotType((4,), "fixed", "float32")
    count = 1000
    steps = tuple(Step(name, (i + 1, 0), (i + 2,), {}, "") for i in range(count))
    plan = Plan(Program((declared,) * (count + 2), (0, 1), {}, steps, (count + 1,)), BITS)
    inputs = [secret(np.ones(4, np.float32), BITS)] * 2
    driver = Driver("still", {})
    best = min(_timed(lambda: driver.run(execute(Still(), driver, plan, inputs))) for _ in range(5))  # type: ignore[arg-type]
    assert best / count < limit


def _timed(run: Callable[[], Any]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
