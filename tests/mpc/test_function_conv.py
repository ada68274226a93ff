"""Convolutions and their gradients, against JAX."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from worlds import BITS, Public, World, equal

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.form import Geometry
from tacit.primitive.mpc.function import FUNCTIONS as F

CASES = [
    ((2, 6, 5, 3), (3, 2, 3, 4), Geometry()),
    ((1, 7, 7, 2), (3, 3, 2, 2), Geometry((2, 2), (1, 1, 1, 1))),
    ((2, 8, 6, 4), (2, 3, 2, 6), Geometry((1, 2), (0, 1, 2, 0), (2, 1), 2)),
]


def reference(x, kernels, g):
    return jax.lax.conv_general_dilated(
        x, kernels, g.strides, (g.padding[:2], g.padding[2:]), rhs_dilation=g.dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=g.groups,
    )  # fmt: skip


def quarters(shape, seed):
    return np.random.default_rng(seed).integers(-8, 9, shape) / 4.0


@pytest.mark.parametrize("case", CASES)
def test_convolutions_are_exact_on_short_fractions(world: World, case):
    shape, kernel_shape, g = case
    x, kernels = quarters(shape, 1), quarters(kernel_shape, 2)
    expected, back = jax.vjp(lambda a, b: reference(a, b, g), np.float32(x), np.float32(kernels))
    for left, right in [(x, kernels), (x, Public(kernels)), (Public(x), kernels)]:
        equal(world.run(F["conv"], left, right, geometry=g).value, np.asarray(expected, np.float64))
    cotangents = quarters(expected.shape, 3)
    to_image, to_kernel = back(np.float32(cotangents))
    image = F["conv_image_gradient"]
    equal(world.run(image, cotangents, kernels, geometry=g, image=shape[1:3]).value, np.float64(to_image))
    equal(world.run(image, cotangents, Public(kernels), geometry=g, image=shape[1:3]).value, np.float64(to_image))
    kernel = F["conv_kernel_gradient"]
    equal(world.run(kernel, x, cotangents, geometry=g, kernel=kernel_shape[:2]).value, np.float64(to_kernel))
    equal(world.run(kernel, Public(x), cotangents, geometry=g, kernel=kernel_shape[:2]).value, np.float64(to_kernel))


def test_a_kept_convolution_carries_twice_the_bits(world: World):
    x, kernels = quarters((1, 3, 3, 1), 4) + 2.0**-BITS, quarters((2, 2, 1, 1), 5)

    async def program(k, a, b):
        kept = await F["conv"](k, a, b, geometry=Geometry(), keep=True)
        assert kept.bits == 2 * BITS
        return await F["rescale"](k, kept, BITS)

    exact = np.asarray(reference(np.float32(x - 2.0**-BITS), np.float32(kernels), Geometry()), np.float64)
    exact = exact + kernels.sum() * 2.0**-BITS
    assert np.all(np.abs(world.run(program, x, kernels).value - exact) <= 2.0**-BITS)


def test_what_does_not_fit_is_refused(world: World):
    with pytest.raises(ShapeError):
        world.run(F["conv"], np.ones((1, 3, 3, 2)), np.ones((2, 2, 1, 1)), geometry=Geometry())
