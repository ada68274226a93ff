"""Matrix products, convolutions with their gradients, and small linear systems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

RNG = np.random.default_rng(3)


def reals(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


IMAGE, KERNEL = reals(2, 3, 9, 8), reals(4, 3, 3, 3)
PRODUCTS: dict[str, tuple[Any, ...]] = {
    "matrix": (jnp.matmul, reals(3, 4), reals(4, 5)),
    "vector": (jnp.matmul, reals(3, 4), reals(4)),
    "inner": (jnp.dot, reals(4), reals(4)),
    "batched": (lambda x, y: jnp.einsum("bij,bkj->bik", x, y), reals(2, 3, 4), reals(2, 5, 4)),
    "transposed": (lambda x, y: jnp.einsum("jbi,kbj->ibk", x, y), reals(4, 2, 3), reals(5, 2, 4)),
    "two_axes": (lambda x, y: jnp.tensordot(x, y, 2), reals(2, 3, 4), reals(3, 4, 5)),
    "three_factors": (lambda x, y, z: jnp.einsum("ij,jk,kl->il", x, y, z), reals(2, 3), reals(3, 4), reals(4, 2)),
    "public_left": (lambda x: np.eye(4, dtype=np.float32)[:3] @ x, reals(4, 2)),
    "public_weights": (lambda x: x @ np.linspace(-1, 1, 4, dtype=np.float32), reals(3, 4)),
    "integers": (jnp.matmul, np.arange(6, dtype=np.int32).reshape(2, 3), np.arange(6, dtype=np.int32).reshape(3, 2)),
    "one_hot": (lambda i, w: jax.nn.one_hot(i, 4) @ w, np.array([1, 3], np.int32), reals(4, 2)),
    "norm": (lambda x: (x**2).sum(), reals(7)),
    "cross": (jnp.cross, reals(3), reals(3)),
    "convolve": (jnp.convolve, reals(6), reals(3)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_product(name: str, compare: Callable[..., Any]) -> None:
    function, *arguments = PRODUCTS[name]
    compare(function, *arguments)


CONVOLUTIONS: dict[str, tuple[Any, ...]] = {
    "same": (lambda x, w: lax.conv(x, w, (1, 1), "SAME"), IMAGE, KERNEL),
    "strided": (lambda x, w: lax.conv(x, w, (2, 1), "VALID"), IMAGE, KERNEL),
    "nhwc": (
        lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")),
        reals(2, 6, 5, 3),
        reals(3, 3, 3, 4),
    ),
    "grouped": (
        lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", feature_group_count=2),
        reals(2, 4, 6, 5),
        reals(6, 2, 3, 3),
    ),
    "depthwise": (
        lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", feature_group_count=4),
        reals(2, 4, 6, 5),
        reals(8, 1, 3, 3),
    ),
    "batch_groups": (
        lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", batch_group_count=2),
        reals(4, 3, 6, 5),
        reals(6, 3, 3, 3),
    ),
    "one_axis": (
        lambda x, w: lax.conv_general_dilated(x, w, (2,), "SAME", dimension_numbers=("NWC", "WIO", "NWC")),
        reals(2, 9, 3),
        reals(3, 3, 4),
    ),
    "dilated": (
        lambda x, w: lax.conv_general_dilated(x, w, (1, 1), [(1, 2), (0, 3)], rhs_dilation=(2, 1)),
        IMAGE,
        KERNEL,
    ),
    "transposed": (lambda x, w: lax.conv_transpose(x, w, (2, 2), "SAME"), reals(2, 4, 4, 3), reals(3, 3, 3, 5)),
    "transposed_kernel": (
        lambda x, w: lax.conv_transpose(x, w, (2, 2), "VALID", transpose_kernel=True),
        reals(2, 4, 4, 5),
        reals(3, 3, 3, 5),
    ),
    "large_window": (lambda x, w: lax.conv(x, w, (1, 1), "VALID"), reals(2, 3, 6, 6), reals(4, 3, 5, 5)),
    "public_kernel": (lambda x: lax.conv(x, KERNEL, (1, 1), "SAME"), IMAGE),
    "public_image": (lambda w: lax.conv(IMAGE, w, (1, 1), "SAME"), KERNEL),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name: str, compare: Callable[..., Any]) -> None:
    function, *arguments = CONVOLUTIONS[name]
    compare(function, *arguments)


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_convolution_gradients(stride: int, padding: str, dilation: int, compare: Callable[..., Any]) -> None:
    def convolve(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(x, w, (stride, stride), padding, rhs_dilation=(dilation, dilation))

    weights = reals(*jax.eval_shape(convolve, IMAGE, KERNEL).shape)
    program = compare(jax.grad(lambda *a: (convolve(*a) * weights).sum(), (0, 1)), IMAGE, KERNEL, error=5e-3)
    names = {step.name for step in program.steps}
    assert names >= {"conv_image_gradient"} or stride == 3
    assert "conv_kernel_gradient" in names


@pytest.mark.parametrize("groups", [2, 4])
def test_gradients_of_grouped_convolutions(groups: int, compare: Callable[..., Any]) -> None:
    def loss(x: Any, w: Any) -> Any:
        return (lax.conv_general_dilated(x, w, (1, 1), "SAME", feature_group_count=groups) ** 2).sum() / 10

    compare(jax.grad(loss, (0, 1)), reals(2, 4, 6, 5), reals(8, 4 // groups, 3, 3), error=5e-3)


def test_gradients_read_the_same_image_kernel_and_cotangent(compiled: Callable[..., Any]) -> None:
    """They are then masked and opened once."""

    def loss(x: Any, w: Any, g: Any) -> Any:
        y = lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return (y * g).sum()

    program = compiled(jax.grad(loss, (0, 1)), reals(2, 6, 6, 3), reals(3, 3, 3, 4), reals(2, 6, 6, 4))
    by_name = {step.name: step.inputs for step in program.steps}
    image, kernel, cotangent = program.inputs
    assert by_name["conv_image_gradient"] == (cotangent, kernel)
    assert by_name["conv_kernel_gradient"] == (image, cotangent)


SQUARE = reals(3, 3)
SYSTEMS: dict[str, tuple[Any, ...]] = {
    "cholesky": (lambda x: jnp.linalg.cholesky(x @ x.T + 3 * jnp.eye(3)), SQUARE),
    "lower": (
        lambda x, y: jax.scipy.linalg.solve_triangular(jnp.tril(x) + 3 * jnp.eye(3), y, lower=True),
        SQUARE,
        reals(3, 2),
    ),
    "upper": (lambda x, y: jax.scipy.linalg.solve_triangular(jnp.triu(x) + 3 * jnp.eye(3), y), SQUARE, reals(3, 2)),
    "right": (
        lambda x, y: lax.linalg.triangular_solve(jnp.triu(x) + 3 * jnp.eye(3), y, lower=False, transpose_a=True),
        SQUARE,
        reals(2, 3),
    ),
    "cho_solve": (
        lambda x, y: jax.scipy.linalg.cho_solve(jax.scipy.linalg.cho_factor(x @ x.T + 3 * jnp.eye(3)), y),
        SQUARE,
        reals(3),
    ),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_linear_system(name: str, compare: Callable[..., Any]) -> None:
    function, *arguments = SYSTEMS[name]
    compare(function, *arguments)
