"""Matrix products, tensor contractions and convolutions.

All are one `Kernel.product`: they communicate the size of their result, however long the sums are, and truncate once.
A public operand is applied to the shares: no product, one truncation of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, final

import numpy as np

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.form import Convolve, ConvolveImageGradient, ConvolveKernelGradient, Geometry, MatMul
from tacit.primitive.mpc.function.arithmetic import bilinear
from tacit.primitive.mpc.function.contract import PRODUCT, bounded, contract
from tacit.primitive.mpc.function.operand import Number
from tacit.primitive.mpc.function.structure import broadcast_to
from tacit.primitive.mpc.kernel import Bilinear, Kernel, Ring, Shape
from tacit.primitive.mpc.value import Value

MATMUL = MatMul()
Axes = tuple[int, ...]

TERMS = bounded(
    "1 ulp; with a public real operand C also (sum of |x|) * 2**-bits * min(1/2, max|C|)",
    lambda bits, _exact, *_operands: 2.0**-bits,
)


@final
@dataclass(frozen=True, slots=True)
class Contraction(Bilinear):
    """A tensor contraction with JAX's dimension numbers: result axes are batch, free of the left, free of the right.

    The axes are moved inside the map, so that operands reach the protocol as they are: an operand that was opened under
    its mask once, such as a weight matrix, serves its product and that with its transpose.
    """

    axes: tuple[Axes, Axes]
    batch: tuple[Axes, Axes] = ((), ())

    def shape(self, left: Shape, right: Shape) -> Shape:
        """The shape of the result; ShapeError where the operands do not fit."""
        (lc, rc), (lb, rb) = self.axes, self.batch
        fits = (
            len(lc) == len(rc)
            and len(lb) == len(rb)
            and max((*lc, *lb, -1)) < len(left)
            and max((*rc, *rb, -1)) < len(right)
        )
        if not fits or any(left[i] != right[j] for i, j in zip((*lc, *lb), (*rc, *rb), strict=True)):
            raise ShapeError(f"cannot contract axes {lc} of {left} with {rc} of {right}, batched along {lb} and {rb}")
        free_left = tuple(left[i] for i in _free(len(left), lc, lb))
        return (*(left[i] for i in lb), *free_left, *(right[i] for i in _free(len(right), rc, rb)))

    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """The contraction modulo 2**64, as one batched matrix product."""
        (lc, rc), (lb, rb) = self.axes, self.batch
        shape = self.shape(left.shape, right.shape)
        batch = prod(left.shape[i] for i in lb)
        depth = prod(left.shape[i] for i in lc)
        rows = prod(left.shape[i] for i in _free(left.ndim, lc, lb))
        columns = prod(right.shape[i] for i in _free(right.ndim, rc, rb))
        a = left.transpose(*lb, *_free(left.ndim, lc, lb), *lc).reshape(batch, rows, depth)
        b = right.transpose(*rb, *rc, *_free(right.ndim, rc, rb)).reshape(batch, depth, columns)
        if batch == 1:
            return np.reshape(local.matmul(a[0], b[0]), shape)
        return np.reshape(local.matmul(a, b), shape)


def _free(rank: int, contracted: Axes, batched: Axes) -> Axes:
    return tuple(i for i in range(rank) if i not in contracted and i not in batched)


@contract(domain=PRODUCT, error=TERMS, source="eprint 2020/1225 for the masked product")
async def dot_general(
    k: Kernel,
    x: Value,
    y: Value,
    *,
    axes: tuple[Axes, Axes],
    batch: tuple[Axes, Axes] = ((), ()),
    bits: int | None = None,
    keep: bool = False,
) -> Number:
    """The contraction of x and y along pairs of axes, as `jax.lax.dot_general` numbers them.

    Reveals: nothing. Costs: one `product` of the result's size; with a public operand one `truncate` at most.
    Error: 0 or +1 ulp. Domain: sums below 2**(62 - 2 bits). Errors: ShapeError.
    """
    form = Contraction((tuple(axes[0]), tuple(axes[1])), (tuple(batch[0]), tuple(batch[1])))
    form.shape(x.shape, y.shape)
    return await bilinear(k, form, x, y, bits=bits, keep=keep)


@contract(domain=PRODUCT, error=TERMS, source="eprint 2020/1225 for the masked product")
async def matmul(k: Kernel, x: Value, y: Value, *, bits: int | None = None, keep: bool = False) -> Number:
    """x @ y with NumPy's rules for vectors and for broadcast stacks of matrices.

    Reveals: nothing. Costs: one `product` of the result's size; with a public operand one `truncate` at most.
    Error: 0 or +1 ulp. Domain: sums below 2**(62 - 2 bits). Errors: ShapeError.
    """
    left, right = x.shape, y.shape
    if len(left) == 2 and len(right) == 2:
        return await bilinear(k, MATMUL, x, y, bits=bits, keep=keep)
    if not left or not right or left[-1] != right[-2 if len(right) > 1 else 0]:
        raise ShapeError(f"cannot multiply matrices of shapes {left} and {right}")
    if len(right) <= 2 or len(left) == 1:
        axes = ((len(left) - 1,), (max(len(right) - 2, 0),))
        return await bilinear(k, Contraction(axes), x, y, bits=bits, keep=keep)
    try:
        stack = np.broadcast_shapes(left[:-2], right[:-2])
    except ValueError:
        raise ShapeError(f"cannot multiply stacks of matrices of shapes {left} and {right}") from None
    x = await broadcast_to(k, x, (*stack, *left[-2:]))
    y = await broadcast_to(k, y, (*stack, *right[-2:]))
    return await bilinear(k, MATMUL, x, y, bits=bits, keep=keep)


@contract(domain=PRODUCT, error=TERMS, source="eprint 2020/1225 for the masked product")
async def conv(
    k: Kernel, images: Value, kernels: Value, *, geometry: Geometry, bits: int | None = None, keep: bool = False
) -> Number:
    """The 2-D convolution of images [N, H, W, C] with kernels [KH, KW, C / groups, O] -> [N, OH, OW, O].

    Reveals: nothing. Costs: one `product` of the result's size; with a public operand one `truncate` at most.
    Error: 0 or +1 ulp. Domain: sums below 2**(62 - 2 bits). Errors: ShapeError.
    """
    return await _convolution(k, Convolve(geometry), images, kernels, bits, keep=keep)


@contract(domain=PRODUCT, error=TERMS, source="eprint 2020/1225 for the masked product")
async def conv_image_gradient(
    k: Kernel,
    cotangents: Value,
    kernels: Value,
    *,
    geometry: Geometry,
    image: tuple[int, int],
    bits: int | None = None,
    keep: bool = False,
) -> Number:
    """The gradient of `conv` with respect to its images of extent `image`: cotangents [N, OH, OW, O] -> [N, H, W, C].

    Reveals: nothing. Costs: one `product` of the result's size; with a public operand one `truncate` at most.
    Error: 0 or +1 ulp. Errors: ShapeError.
    """
    return await _convolution(k, ConvolveImageGradient(geometry, image), cotangents, kernels, bits, keep=keep)


@contract(domain=PRODUCT, error=TERMS, source="eprint 2020/1225 for the masked product")
async def conv_kernel_gradient(
    k: Kernel,
    images: Value,
    cotangents: Value,
    *,
    geometry: Geometry,
    kernel: tuple[int, int],
    bits: int | None = None,
    keep: bool = False,
) -> Number:
    """The gradient of `conv` with respect to its kernels of extent `kernel`: -> [KH, KW, C / groups, O].

    Reveals: nothing. Costs: one `product` of the result's size; with a public operand one `truncate` at most.
    Error: 0 or +1 ulp. Errors: ShapeError.
    """
    return await _convolution(k, ConvolveKernelGradient(geometry, kernel), images, cotangents, bits, keep=keep)


async def _convolution(k: Kernel, form: Bilinear, x: Value, y: Value, bits: int | None, *, keep: bool) -> Number:
    form.shape(x.shape, y.shape)
    return await bilinear(k, form, x, y, bits=bits, keep=keep)
