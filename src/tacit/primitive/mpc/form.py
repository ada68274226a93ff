"""Bilinear maps: everything a masked product can compute at the price of one opening of its result's size.

A map B is bilinear over Z_2^64, so B(X - r, Y - s) = B(X, Y) - B(X, s) - B(r, Y) + B(r, s): the same code path serves
the element-wise product, matrix products, convolutions and their gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.kernel import Bilinear, Ring, Shape


@final
@dataclass(frozen=True, slots=True)
class Elementwise(Bilinear):
    """x * y with NumPy broadcasting."""

    def shape(self, left: Shape, right: Shape) -> Shape:
        """The broadcast shape."""
        try:
            return np.broadcast_shapes(left, right)
        except ValueError as error:
            raise ShapeError(f"cannot multiply shapes {left} and {right}: {error}") from None

    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """The product modulo 2**64."""
        return local.mul(left, right)


@final
@dataclass(frozen=True, slots=True)
class MatMul(Bilinear):
    """x @ y for [..., m, k] and [..., k, n] with equal leading axes (broadcast by the caller)."""

    def shape(self, left: Shape, right: Shape) -> Shape:
        """[..., m, n]."""
        if len(left) < 2 or len(right) != len(left) or left[:-2] != right[:-2] or left[-1] != right[-2]:
            raise ShapeError(f"cannot multiply matrices of shapes {left} and {right}")
        return (*left[:-1], right[-1])

    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """The matrix product modulo 2**64."""
        return local.matmul(left, right)


@final
@dataclass(frozen=True, slots=True)
class Geometry:
    """How a 2-D convolution walks: strides, zero padding, dilation, groups. NHWC images, HWIO kernels."""

    strides: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # top, bottom, left, right
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    def extent(self, axis: int, size: int, kernel: int) -> int:
        """Output size along one axis (0 height, 1 width)."""
        before, after = self.padding[2 * axis : 2 * axis + 2]
        reach = (kernel - 1) * self.dilation[axis] + 1
        return (size + before + after - reach) // self.strides[axis] + 1


@final
@dataclass(frozen=True, slots=True)
class Convolve(Bilinear):
    """images [N, H, W, C] and kernels [KH, KW, C / groups, O] -> [N, OH, OW, O]."""

    geometry: Geometry

    def shape(self, left: Shape, right: Shape) -> Shape:
        """[N, OH, OW, O]."""
        g = self.geometry
        if len(left) != 4 or len(right) != 4 or left[3] != right[2] * g.groups or right[3] % g.groups:
            raise ShapeError(f"cannot convolve images {left} with kernels {right} in {g.groups} groups")
        out = (g.extent(0, left[1], right[0]), g.extent(1, left[2], right[1]))
        if min(out) < 1:
            raise ShapeError(f"kernel {right[:2]} does not fit the padded image {left[1:3]}")
        return (left[0], *out, right[3])

    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """The convolution modulo 2**64."""
        return local.conv2d(left, right, self.geometry)


@final
@dataclass(frozen=True, slots=True)
class ConvolveImageGradient(Bilinear):
    """cotangents [N, OH, OW, O] and kernels [KH, KW, C / groups, O] -> images [N, H, W, C]."""

    geometry: Geometry
    image: tuple[int, int]

    def shape(self, left: Shape, right: Shape) -> Shape:
        """[N, H, W, C]."""
        if len(left) != 4 or len(right) != 4 or left[3] != right[3]:
            raise ShapeError(f"cannot convolve cotangents {left} back through kernels {right}")
        return (left[0], *self.image, right[2] * self.geometry.groups)

    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """The gradient with respect to the images, modulo 2**64."""
        return local.conv2d_image_gradient(left, right, self.geometry, self.image)


@final
@dataclass(frozen=True, slots=True)
class ConvolveKernelGradient(Bilinear):
    """images [N, H, W, C] and cotangents [N, OH, OW, O] -> kernels [KH, KW, C / groups, O]."""

    geometry: Geometry
    kernel: tuple[int, int]

    def shape(self, left: Shape, right: Shape) -> Shape:
        """[KH, KW, C / groups, O]."""
        if len(left) != 4 or len(right) != 4 or left[0] != right[0]:
            raise ShapeError(f"cannot correlate images {left} with cotangents {right}")
        return (*self.kernel, left[3] // self.geometry.groups, right[3])

    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """The gradient with respect to the kernels, modulo 2**64."""
        return local.conv2d_kernel_gradient(left, right, self.geometry, self.kernel)
