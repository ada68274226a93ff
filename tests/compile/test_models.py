"""Whole models as their libraries write them: training steps and predictions, Ideal beside plain JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

RNG = np.random.default_rng(7)


def reals(*shape: int, scale: float = 1.0) -> Any:
    return (scale * RNG.normal(size=shape)).astype(np.float32)


class Perceptron(nn.Module):
    """Two hidden layers."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        for width in (16, 8):
            x = nn.relu(nn.Dense(width)(x))
        return nn.Dense(3)(x)


class Convolutional(nn.Module):
    """LeNet in small."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.max_pool(nn.relu(nn.Conv(4, (3, 3))(x)), (2, 2), (2, 2))
        x = nn.avg_pool(nn.relu(nn.Conv(6, (3, 3), padding="VALID")(x)), (2, 2), (2, 2))
        return nn.Dense(4)(x.reshape(x.shape[0], -1))


class Block(nn.Module):
    """One transformer block."""

    @nn.compact
    def __call__(self, x: Any) -> Any:
        y = nn.LayerNorm()(x)
        x = x + nn.MultiHeadDotProductAttention(num_heads=2)(y, y)
        y = nn.LayerNorm()(x)
        return x + nn.Dense(x.shape[-1])(nn.gelu(nn.Dense(2 * x.shape[-1])(y)))


def labels(count: int, classes: int) -> Any:
    return RNG.integers(0, classes, count).astype(np.int32)


def test_logistic_regression_by_gradient_and_scan(compare: Callable[..., Any]) -> None:
    x = reals(64, 5)
    y = (x[:, 0] - x[:, 1] > 0).astype(np.float32)

    def loss(w: Any, batch: Any) -> Any:
        rows, truth = batch
        return optax.sigmoid_binary_cross_entropy(rows @ w, truth).mean() + 0.01 * (w**2).sum()

    def train(x: Any, y: Any) -> Any:
        def step(w: Any, batch: Any) -> Any:
            value, gradient = jax.value_and_grad(loss)(w, batch)
            return w - 0.5 * gradient, value

        return jax.lax.scan(step, jnp.zeros(5), (x.reshape(8, 8, 5), y.reshape(8, 8)))

    program = compare(train, x, y, error=1e-3)
    (loop,) = [step for step in program.steps if step.name == "scan"]
    assert loop.params["length"] == 8


def test_a_flax_perceptron_predicts(compare: Callable[..., Any]) -> None:
    model = Perceptron()
    x = reals(6, 5)
    params = model.init(jax.random.key(0), x)
    leaves, tree = jax.tree.flatten(params)
    compare(lambda x, *p: jax.nn.softmax(model.apply(jax.tree.unflatten(tree, p), x)), x, *leaves)


def training_step(model: Any, optimiser: Any, tree: Any) -> Callable[..., Any]:
    """One step of cross-entropy training on flat parameters."""

    def step(x: Any, y: Any, *flat: Any) -> Any:
        params = jax.tree.unflatten(tree, flat)

        def loss(p: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(model.apply(p, x), y).mean()

        value, gradient = jax.value_and_grad(loss)(params)
        updates, _ = optimiser.update(gradient, optimiser.init(params), params)
        return value, optax.apply_updates(params, updates)

    return step


def test_a_flax_perceptron_trains_by_sgd(compare: Callable[..., Any]) -> None:
    model = Perceptron()
    x, y = reals(6, 5), labels(6, 3)
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(0), x))
    compare(training_step(model, optax.sgd(0.1, momentum=0.9), tree), x, y, *leaves)


def test_a_flax_perceptron_trains_by_adam(compare: Callable[..., Any]) -> None:
    """Adam divides by the root of a squared gradient: eps must be what fixed point can see."""
    model = Perceptron()
    x, y = reals(6, 5), labels(6, 3)
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(0), x))
    compare(training_step(model, optax.adam(0.01, eps=1e-2), tree), x, y, *leaves)


def test_a_convolutional_network_predicts_and_trains(compare: Callable[..., Any]) -> None:
    model = Convolutional()
    x, y = reals(2, 10, 10, 1), labels(2, 4)
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(1), x))
    compare(lambda x, *p: model.apply(jax.tree.unflatten(tree, p), x), x, *leaves)
    compare(training_step(model, optax.sgd(0.1), tree), x, y, *leaves)


def test_a_transformer_block(compare: Callable[..., Any]) -> None:
    model = Block()
    x = reals(1, 5, 8)
    leaves, tree = jax.tree.flatten(model.init(jax.random.key(2), x))
    program = compare(lambda x, *p: model.apply(jax.tree.unflatten(tree, p), x), x, *leaves, error=5e-3)
    names = {step.name for step in program.walk()}
    assert {"softmax", "gelu", "rsqrt"} <= names


def test_masked_attention(compare: Callable[..., Any]) -> None:
    mask = np.tril(np.ones((5, 5), bool))

    def attend(q: Any, k: Any, v: Any) -> Any:
        return jax.nn.softmax(jnp.where(mask, q @ k.T / 2, -1e9)) @ v

    compare(attend, reals(5, 4), reals(5, 4), reals(5, 4))


def test_an_equinox_network(compare: Callable[..., Any]) -> None:
    model = eqx.nn.MLP(4, 2, 8, 2, activation=jax.nn.silu, key=jax.random.key(3))
    arrays, static = eqx.partition(model, eqx.is_array)
    leaves, tree = jax.tree.flatten(arrays)

    def predict(x: Any, *flat: Any) -> Any:
        network = eqx.combine(jax.tree.unflatten(tree, flat), static)
        return jax.vmap(network)(x)

    def gradient(x: Any, *flat: Any) -> Any:
        return jax.grad(lambda *p: (predict(x, *p) ** 2).mean(), tuple(range(len(flat))))(*flat)

    compare(predict, reals(3, 4), *leaves)
    compare(gradient, reals(3, 4), *leaves)


def test_recurrence(compare: Callable[..., Any]) -> None:
    cell = eqx.nn.GRUCell(3, 4, key=jax.random.key(4))
    arrays, static = eqx.partition(cell, eqx.is_array)
    leaves, tree = jax.tree.flatten(arrays)

    def run(x: Any, *flat: Any) -> Any:
        gru = eqx.combine(jax.tree.unflatten(tree, flat), static)
        return jax.lax.scan(lambda h, row: (gru(row, h), h), jnp.zeros(4), x)

    compare(run, reals(6, 3), *leaves)


def test_kmeans(compare: Callable[..., Any]) -> None:
    points = np.concatenate([reals(8, 2, scale=0.3) + 2, reals(8, 2, scale=0.3) - 2])

    def fit(x: Any) -> Any:
        def step(_: int, centres: Any) -> Any:
            distance = ((x[:, None] - centres[None]) ** 2).sum(-1)
            member = jax.nn.one_hot(jnp.argmin(distance, 1), 2)
            return (member.T @ x) / jnp.maximum(member.sum(0)[:, None], 1)

        return jax.lax.fori_loop(0, 3, step, x[jnp.array([0, 8])])

    compare(fit, points)
