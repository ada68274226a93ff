"""Each pass by what it makes of a small function, and all of them by what they keep."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tacit.compile.passes import OUTERMOST, PASSES, describe, optimise
from tacit.compile.program import Program

RNG = np.random.default_rng(6)


def reals(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


X, Y, W = reals(4, 6), reals(4, 6), reals(6, 3)

# a function, its arguments, and the names of the steps that are left
CASES: dict[str, tuple[Any, tuple[Any, ...], list[str]]] = {
    "dead code": (lambda x: (x, jnp.exp(x))[0], (X,), []),
    "common steps": (lambda x: jnp.tanh(x) * jnp.tanh(x), (X,), ["tanh", "square"]),
    "transposes cancel": (lambda x: x.T.T, (X,), []),
    "signs cancel": (lambda x, y: -(x - y) + -x, (X, Y), ["sub", "sub"]),
    "public factors meet": (lambda x: 2 * (-x) / 4 * 3, (X,), ["mul"]),
    "absolute of a positive": (lambda x: jnp.abs(jnp.exp(x)), (X,), ["exp"]),
    "relu": (lambda x: jnp.maximum(x, 0), (X,), ["relu"]),
    "relu by name": (jax.nn.relu, (X,), ["relu"]),
    "relu by selection": (lambda x: jnp.where(x > 0, x, 0), (X,), ["relu"]),
    "clip": (lambda x: jnp.clip(x, -1, 1), (X,), ["clip"]),
    "clip from zero": (jax.nn.relu6, (X,), ["clip"]),
    "mean": (lambda x: x.mean(1), (X,), ["mean"]),
    "sigmoid": (jax.nn.sigmoid, (X,), ["sigmoid"]),
    "sigmoid by hand": (lambda x: 1 / (1 + jnp.exp(-x)), (X,), ["sigmoid"]),
    "silu": (jax.nn.silu, (X,), ["silu"]),
    "gelu": (jax.nn.gelu, (X,), ["gelu"]),
    "gelu exact": (lambda x: jax.nn.gelu(x, approximate=False), (X,), ["gelu"]),
    "softplus": (jax.nn.softplus, (X,), ["softplus"]),
    "logaddexp": (jnp.logaddexp, (X, Y), ["logaddexp"]),
    "softmax": (jax.nn.softmax, (X,), ["softmax"]),
    "softmax by hand": (lambda x: jnp.exp(x - x.max(0)) / jnp.exp(x - x.max(0)).sum(0), (X,), ["softmax"]),
    "softmax over all axes": (lambda x: jax.nn.softmax(x, (0, 1)), (X,), ["softmax"]),
    "log softmax": (jax.nn.log_softmax, (X,), ["log_softmax"]),
    "logsumexp": (lambda x: jax.nn.logsumexp(x, axis=1), (X,), ["logsumexp"]),
    "rsqrt": (lambda x: x / jnp.sqrt(x * x + 1), (X,), ["square", "add", "rsqrt", "mul"]),
    "log of sigmoid": (lambda x: jnp.log(1 - jax.nn.sigmoid(x)), (X,), ["softplus", "neg"]),
    "common factor": (lambda x, y: x * y + x * x[::-1], (X, Y), ["reverse", "add", "mul"]),
    "truth gates": (lambda x, y: (y > 0) * x, (X, Y), ["gt", "select"]),
    "sum of products": (lambda x, y: (x * y).sum(1), (X, Y), ["dot_general"]),
    "transposed operand": (lambda x, y: x.T @ y, (X, Y), ["dot_general"]),
    "deferred truncation": (lambda x, y, w: x @ w + y @ w, (X, Y, W), ["dot_general", "dot_general", "add", "rescale"]),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_left(name: str, compare: Callable[..., Program]) -> None:
    function, arguments, names = CASES[name]
    program = compare(function, *arguments)
    assert sorted(step.name for step in program.steps) == sorted(names), program


def test_the_gradient_of_cross_entropy_is_a_difference(compare: Callable[..., Program]) -> None:
    def loss(w: Any, x: Any, y: Any) -> Any:
        p = jax.nn.sigmoid(x @ w)
        return -jnp.mean(y * jnp.log(p) + (1 - y) * jnp.log(1 - p))

    rows = reals(12, 6)
    program = compare(jax.grad(loss), W[:, 0], rows, (rows[:, 0] > 0).astype(np.float32), error=1e-4)
    assert [step.name for step in program.steps] == ["dot_general", "sigmoid", "sub", "dot_general", "mul"]


def test_the_gradient_of_a_softmax_loss_is_softmax_less_labels(compare: Callable[..., Program]) -> None:
    def loss(x: Any, y: Any) -> Any:
        return -(jax.nn.log_softmax(x) * y).sum()

    labels = np.eye(6, dtype=np.float32)[[0, 2, 5, 5]]
    program = compare(jax.grad(loss), X, labels)
    names = [step.name for step in program.steps]
    assert names.count("softmax") == 1
    assert not {"divide", "exp", "max", "log"} & set(names)


def test_relu_shares_its_comparison_with_its_gradient(compiled: Callable[..., Program]) -> None:
    program = compiled(jax.grad(lambda x: (jax.nn.relu(x) ** 2).sum()), X)
    names = [step.name for step in program.steps]
    assert names.count("gt") == 1
    assert "relu" not in names


def test_the_mean_of_a_loss_meets_the_learning_rate(compare: Callable[..., Program]) -> None:
    """1 / n is applied to no cotangent: it would cost every gradient log2 n bits."""

    def step(w: Any, v: Any, x: Any) -> Any:
        gradients = jax.grad(lambda w, v: ((jax.nn.relu(x @ w) @ v) ** 2).mean(), (0, 1))(w, v)
        return w - 0.1 * gradients[0], v - 0.1 * gradients[1]

    program = compare(step, W, reals(3), reals(8, 6), error=1e-4)
    factors = [step for step in program.steps if step.name == "mul" and step.inputs[1] in program.constants]
    assert [program.slots[step.outputs[0]].shape for step in factors] == [(3,), (6, 3)]


def test_what_a_loop_multiplies_is_opened_before_it(compare: Callable[..., Program]) -> None:
    def train(w: Any, x: Any, y: Any) -> Any:
        def step(w: Any, batch: Any) -> Any:
            return w - 0.1 * batch[0].T @ (batch[0] @ w - batch[1]), None

        return jax.lax.scan(step, w, (jnp.concatenate([x, jnp.ones((8, 1))], 1).reshape(4, 2, 7), y.reshape(4, 2)))[0]

    program = compare(train, reals(7), reals(8, 6), reals(8))
    assert [step.inputs for step in program.steps if step.name == "prepare"] == [(program.inputs[1],)]


def test_an_early_factor_meets_few_elements(compare: Callable[..., Program]) -> None:
    program = compare(lambda q, k: 0.3 * (q @ k.T), reals(9, 4), reals(9, 4))
    assert [program.slots[step.outputs[0]].shape for step in program.steps] == [(9, 4), (9, 9)]


def test_loop_invariants_leave_the_loop(compare: Callable[..., Program]) -> None:
    program = compare(lambda x, w: jax.lax.fori_loop(0, 3, lambda i, c: c + jnp.tanh(x) @ w @ w.T, x), X, W)
    (loop,) = [step for step in program.steps if step.name == "scan"]
    assert [step.name for step in loop.bodies[0].steps] == ["add"]


def test_unread_carries_and_results_of_loops_go(compiled: Callable[..., Program]) -> None:
    def function(x: Any) -> Any:
        (kept, _), rows = jax.lax.scan(lambda c, r: ((c[0] + r, jnp.exp(c[1])), jnp.tanh(c[0])), (x[0], x[1]), x)
        del rows
        return kept

    (loop,) = [step for step in compiled(function, X).steps if step.name == "scan"]
    assert loop.params["carry"] == 1
    assert [step.name for step in loop.bodies[0].steps] == ["add"]


def test_named_values_of_a_kept_product_are_known(compiled: Callable[..., Program]) -> None:
    program = compiled(lambda x, y: (x * y + x * 0.3).sum(0), X, Y)
    assert [step.params.get("keep") for step in program.steps if step.name == "mul"] == [True, None] or any(
        step.name == "rescale" for step in program.steps
    )


def test_the_passes_are_printable() -> None:
    lines = describe().splitlines()
    assert len(lines) == len(dict.fromkeys((*PASSES, *OUTERMOST)))
    assert all(len(line.split()) > 3 for line in lines)


def test_passes_are_idempotent_in_what_they_compute(compiled: Callable[..., Program]) -> None:
    program = compiled(lambda x, w: jax.nn.softmax(jax.nn.relu(x @ w)), X, W)
    assert [s.name for s in optimise(program).steps] == [s.name for s in program.steps]
