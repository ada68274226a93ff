"""Contractions of known shapes: what `dot_general` works out for every call is worked out once."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, final

import numpy as np

from tacit.foundation.errors import ShapeError
from tacit.primitive.mpc.form import MatMul
from tacit.primitive.mpc.kernel import Bilinear, Ring, Shape

Pair = tuple[Shape, Shape]


@final
@dataclass(frozen=True, slots=True)
class Contraction(Bilinear):
    """A contraction as one (batched) matrix product, with the moves of its operands around it."""

    left: Shape
    right: Shape
    result: Shape
    left_axes: Shape | None
    right_axes: Shape | None
    left_matrix: Shape
    right_matrix: Shape

    def shape(self, left: Shape, right: Shape) -> Shape:
        """The shape of the result; ShapeError for other shapes than those it was made for."""
        if left != self.left or right != self.right:
            raise ShapeError(f"a contraction of {self.left} and {self.right} met {left} and {right}")
        return self.result

    def apply(self, local: Any, left: Ring, right: Ring) -> Ring:
        """The contraction modulo 2**64."""
        if self.left_axes is not None:
            left = left.transpose(self.left_axes)
        if self.right_axes is not None:
            right = right.transpose(self.right_axes)
        product = local.matmul(left.reshape(self.left_matrix), right.reshape(self.right_matrix))
        return np.reshape(product, self.result)


def contraction(left: Shape, right: Shape, contract: Pair, batch: Pair) -> Bilinear:
    """The form of `dot_general` for operands of these shapes; a plain matrix product where it is one."""
    (lc, rc), (lb, rb) = contract, batch
    lf = tuple(a for a in range(len(left)) if a not in lc and a not in lb)
    rf = tuple(a for a in range(len(right)) if a not in rc and a not in rb)
    lead = tuple(left[a] for a in lb)
    rows, inner, columns = (prod(s[a] for a in axes) for s, axes in ((left, lf), (left, lc), (right, rf)))
    order_left, order_right = (*lb, *lf, *lc), (*rb, *rc, *rf)
    straight = order_left == tuple(range(len(left))) and order_right == tuple(range(len(right)))
    if straight and len(lf) == len(rf) == len(lc) == 1:
        return MatMul()
    stack = (prod(lead),) if prod(lead) != 1 else ()
    return Contraction(
        left,
        right,
        (*lead, *(left[a] for a in lf), *(right[a] for a in rf)),
        None if order_left == tuple(range(len(left))) else order_left,
        None if order_right == tuple(range(len(right))) else order_right,
        (*stack, rows, inner),
        (*stack, inner, columns),
    )
