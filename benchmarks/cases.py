"""The cases, once: a JAX function and the maker of its inputs.

SPU and Tacit run the function itself; CrypTen runs the same algorithm in `systems/crypten_cases.py`. The plaintext
reference is the function in float64. Inputs are float32 and drawn from a generator seeded by the case's name, so
that a case sees the same numbers whichever other cases are selected.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Inputs = tuple[Array, ...]

STARTUP = "startup"


@dataclass(frozen=True)
class Case:
    """A name, what is computed, and on what; `shape` is for the reader of the results."""

    name: str
    shape: tuple[int | str, ...]
    function: Callable[..., Any]
    make: Callable[[np.random.Generator], Inputs]

    def inputs(self) -> Inputs:
        """Return the inputs, the same on every call and every machine."""
        made = self.make(np.random.default_rng(zlib.crc32(self.name.encode())))
        return tuple(np.ascontiguousarray(array, dtype=np.float32) for array in made)

    def reference(self, inputs: Inputs) -> list[Array]:
        """Return the outputs in float64, computed in the clear."""
        with jax.enable_x64(True):
            outputs = jax.jit(self.function)(*(array.astype(np.float64) for array in inputs))
            return [np.asarray(output, dtype=np.float64) for output in jax.tree.leaves(outputs)]


def catalogue(scale: float = 1.0) -> Mapping[str, Case]:
    """Return every case by name, in the order they run.

    `scale` below 1 shrinks the long dimension of each case: a check of the machinery, not a measurement.
    """
    return {case.name: case for case in (*_elementwise(scale), *_regressions(scale), *_networks(scale))}


# ---------------------------------------------------------------------------------------------- single operations


def _elementwise(scale: float) -> Iterable[Case]:
    large, medium, rows = (max(1, round(count * scale)) for count in (1_000_000, 100_000, 10_000))
    few = max(1, rows // 10)
    yield Case("mul", (large,), lambda x, y: x * y, partial(_normal, (large,), (large,)))
    for side in (512, 1024):
        n = max(1, round(side * scale**0.5))
        yield Case(f"matmul{side}", (n, n, n), lambda x, y: x @ y, partial(_normal, (n, n), (n, n)))
    yield Case("less", (large,), lambda x, y: x < y, partial(_normal, (large,), (large,)))
    yield Case("relu", (large,), lambda x: jnp.maximum(x, 0), partial(_normal, (large,)))
    yield Case("max_axis", (rows, 100), lambda x: jnp.max(x, axis=-1), partial(_normal, (rows, 100)))
    yield Case("sort", (medium,), jnp.sort, partial(_normal, (medium,)))
    yield Case("sigmoid_1e5", (medium,), jax.nn.sigmoid, partial(_normal, (medium,)))
    yield Case("sigmoid_1e6", (large,), jax.nn.sigmoid, partial(_normal, (large,)))
    yield Case("exp", (medium,), jnp.exp, partial(_normal, (medium,)))
    yield Case("reciprocal", (medium,), lambda x: 1.0 / x, lambda rng: (np.abs(rng.standard_normal(medium)) + 0.5,))
    yield Case("softmax", (few, 100), lambda x: jax.nn.softmax(x, axis=-1), partial(_normal, (few, 100)))


def _normal(*arguments: Any) -> Inputs:
    *shapes, rng = arguments
    return tuple(rng.standard_normal(shape) for shape in shapes)


# ------------------------------------------------------------------------------------------------------- training


def _regressions(scale: float) -> Iterable[Case]:
    epochs = max(1, round(10 * scale))
    batches = max(1, round(97 * scale))
    yield Case(
        "lr_breast_cancer",
        (569, 31, "batch 64", f"{8 * epochs} steps"),
        _train_logistic,
        partial(_breast_cancer, epochs),
    )
    yield Case(
        "lr_synth_100k",
        (batches * 1024, 100, "batch 1024", f"{batches} steps"),
        _train_logistic,
        partial(_separable, batches),
    )


def _train_logistic(features: Any, labels: Any, weights: Any) -> Any:
    """Mini-batch gradient descent, learning rate 0.1; `features` is (batches, rows, columns)."""

    def step(weights: Any, batch: Any) -> tuple[Any, None]:
        x, y = batch
        error = jax.nn.sigmoid(x @ weights) - y
        return weights - (0.1 / x.shape[0]) * (x.T @ error), None

    return jax.lax.scan(step, weights, (features, labels))[0]


def _breast_cancer(epochs: int, _: np.random.Generator) -> Inputs:
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    x = np.column_stack([(x - x.mean(0)) / x.std(0), np.ones(len(x))])
    batches = len(x) // 64
    x = x[: batches * 64].reshape(batches, 64, -1)
    y = y[: batches * 64].reshape(batches, 64, 1)
    return np.tile(x, (epochs, 1, 1)), np.tile(y, (epochs, 1, 1)), np.zeros((x.shape[-1], 1))


def _separable(batches: int, rng: np.random.Generator) -> Inputs:
    x = rng.standard_normal((batches, 1024, 100))
    truth = rng.standard_normal((100, 1))
    return x, x @ truth > 0, np.zeros((100, 1))


def _train_perceptron(features: Any, labels: Any, *parameters: Any) -> Any:
    """784-128-128-10 with ReLU and softmax, batch 128, learning rate 0.1, gradients written out."""

    def step(parameters: Any, batch: Any) -> tuple[Any, None]:
        x, y = batch
        w1, b1, w2, b2, w3, b3 = parameters
        z1 = x @ w1 + b1
        a1 = jnp.maximum(z1, 0)
        z2 = a1 @ w2 + b2
        a2 = jnp.maximum(z2, 0)
        d3 = (jax.nn.softmax(a2 @ w3 + b3, axis=-1) - y) * (1.0 / x.shape[0])
        d2 = jnp.where(z2 > 0, d3 @ w3.T, 0.0)
        d1 = jnp.where(z1 > 0, d2 @ w2.T, 0.0)
        gradients = (x.T @ d1, d1.sum(0), a1.T @ d2, d2.sum(0), a2.T @ d3, d3.sum(0))
        return tuple(p - 0.1 * g for p, g in zip(parameters, gradients, strict=True)), None

    return jax.lax.scan(step, parameters, (features, labels))[0]


def _digits(steps: int, rng: np.random.Generator) -> Inputs:
    x = np.clip(np.abs(rng.standard_normal((steps, 128, 784))), 0, 1)
    y = np.eye(10)[np.argmax(x @ rng.standard_normal((784, 10)), axis=-1)]
    w1, w2, w3 = (rng.standard_normal(shape) for shape in ((784, 128), (128, 128), (128, 10)))
    return x, y, w1 * 0.05, np.zeros(128), w2 * 0.1, np.zeros(128), w3 * 0.1, np.zeros(10)


# ------------------------------------------------------------------------------------------------------- networks


def _networks(scale: float) -> Iterable[Case]:
    steps, batch = max(1, round(50 * scale)), max(1, round(128 * scale))
    for name, count in (("mlp_train", steps), ("mlp_train_5steps", min(5, steps))):
        shape = (count * 128, "784-128-128-10", "batch 128", f"{count} steps")
        yield Case(name, shape, _train_perceptron, partial(_digits, count))
    for name, count in (("lenet_b1", 1), ("lenet_b128", batch)):
        yield Case(name, (count, "28x28x1", "conv20-pool-conv50-pool-fc500-fc10"), _lenet, partial(_photographs, count))
    yield Case("conv_relu_64x56x56", (1, 56, 56, 64, "3x3x64"), _convolve_relu, _feature_map)
    yield Case("transformer_block", (1, TOKENS, HIDDEN, "12 heads", "ffn 1536"), _transformer_block, _tokens)


def _lenet(x: Any, k1: Any, k2: Any, w1: Any, w2: Any) -> Any:
    """Network C of SecureNN (2018/442); pictures and weights are secret."""
    h = jnp.maximum(_pool(_convolve(x, k1, "VALID")), 0)
    h = jnp.maximum(_pool(_convolve(h, k2, "VALID")), 0)
    return jnp.maximum(h.reshape(h.shape[0], -1) @ w1, 0) @ w2


def _convolve(x: Any, kernel: Any, padding: str) -> Any:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def _pool(x: Any) -> Any:
    rows, height, width, channels = x.shape
    return x.reshape(rows, height // 2, 2, width // 2, 2, channels).max((2, 4))


def _photographs(batch: int, rng: np.random.Generator) -> Inputs:
    x, k1, k2, w1, w2 = _normal((batch, 28, 28, 1), (5, 5, 1, 20), (5, 5, 20, 50), (800, 500), (500, 10), rng)
    return x, k1 * 0.2, k2 * 0.05, w1 * 0.04, w2 * 0.05


def _convolve_relu(x: Any, kernel: Any) -> Any:
    return jnp.maximum(_convolve(x, kernel, "SAME"), 0)


def _feature_map(rng: np.random.Generator) -> Inputs:
    x, kernel = _normal((1, 56, 56, 64), (3, 3, 64, 64), rng)
    return x, kernel * 0.05


TOKENS, HIDDEN, HEADS = 128, 384, 12


def _transformer_block(
    x: Any, wq: Any, wk: Any, wv: Any, wo: Any, w1: Any, w2: Any, g1: Any, b1: Any, g2: Any, b2: Any
) -> Any:
    """Post-norm encoder block with tanh GELU; every weight is secret."""

    def split(t: Any) -> Any:
        return t.reshape(TOKENS, HEADS, HIDDEN // HEADS).transpose(1, 0, 2)

    query, key, value = split(x @ wq), split(x @ wk), split(x @ wv)
    scores = jnp.einsum("aij,akj->aik", query, key) * (1 / (HIDDEN // HEADS) ** 0.5)
    mixed = jnp.einsum("aik,akj->aij", jax.nn.softmax(scores, axis=-1), value)
    x = _normalise(x + mixed.transpose(1, 0, 2).reshape(TOKENS, HIDDEN) @ wo, g1, b1)
    return _normalise(x + jax.nn.gelu(x @ w1, approximate=True) @ w2, g2, b2)


def _normalise(x: Any, gain: Any, bias: Any) -> Any:
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred * centred).mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + 1e-3) * gain + bias


def _tokens(rng: np.random.Generator) -> Inputs:
    square, up, down = (HIDDEN, HIDDEN), (HIDDEN, 4 * HIDDEN), (4 * HIDDEN, HIDDEN)
    x, *weights = _normal((TOKENS, HIDDEN), square, square, square, square, up, down, rng)
    return x, *(w * 0.05 for w in weights), np.ones(HIDDEN), np.zeros(HIDDEN), np.ones(HIDDEN), np.zeros(HIDDEN)
