"""Polynomials of encrypted numbers, at the least depth: degree 3 takes two levels, degree 7 three, degree 15 four.

p = q x**m + r with the largest power of two m <= degree, and so on: x**2, x**4, x**8 are made once, and a leaf
c1 x + c0 takes one product with a number. As m has been reached after log2(m) products and q no later, the whole takes
one more. The plan runs first, on bounds alone, so that nothing is computed in vain.

Source: Paterson and Stockmeyer, 1973, in its binary form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, final

import numpy as np

from tacit.foundation.errors import InputError, LevelsExhausted
from tacit.primitive.he.packed.array import PackedArray
from tacit.primitive.he.packed.context import AnyArithmetic

T = TypeVar("T")


def polynomial(array: PackedArray, coefficients: Sequence[float]) -> PackedArray:
    """sum of coefficients[i] * x**i for every number x of the array.

    Costs: ceil(log2(degree + 1)) levels for CKKS, and for BFV as many products in a row as log2(degree) rounded down;
           about degree / 2 + log2(degree) products of ciphertexts.
    Error: CKKS: follows from the products and sums; `error` of the result says it. For coefficients c and |x| <= M it is
           near sum |c_i| i M**(i - 1) e_x, plus the rounding of each level. BFV: none.
    Raises: LevelsExhausted with the levels needed, CiphertextOverflow; InputError for coefficients that are no numbers.
    """
    numbers = array.arithmetic.numbers(list(coefficients), "coefficients")
    if numbers.ndim != 1 or not numbers.size:
        raise InputError("a polynomial has at least one coefficient, the constant first")
    terms = [value.item() for value in numbers[: int(np.flatnonzero(numbers).max(initial=0)) + 1]]
    needed = array.arithmetic.deepest(len(terms) - 1) if len(terms) > 1 else 0
    if array.dtype == np.float64 and needed > array.levels:
        raise LevelsExhausted(
            f"a polynomial of degree {len(terms) - 1} takes {needed} levels, and {array.levels} are left. Generate a key with "
            "more levels, have the key holder decrypt and encrypt again, or approximate with a lower degree.",
            needed=needed,
            left=array.levels,
        )
    if len(terms) == 1:
        return array * 0 + terms[0]
    _evaluate(Planned(array.arithmetic, array.bounds), terms)
    return _evaluate(array, terms)


def _evaluate(x: Any, terms: list[float]) -> Any:
    powers = [x]
    while 2 << len(powers) - 1 <= len(terms) - 1:
        powers.append(powers[-1] * powers[-1])
    return _split(powers, terms, lambda leaf: x * leaf[1] + leaf[0])


def _split(powers: list[T], terms: list[float], leaf: Callable[[list[float]], T]) -> T:
    if len(terms) == 2:
        return leaf(terms)
    index = (len(terms) - 1).bit_length() - 1
    high, low = terms[1 << index :], _trimmed(terms[: 1 << index])
    power: Any = powers[index]
    # A leading constant is a number times the power; one that is 1 is the power itself.
    out = (power if high[0] == 1 else power * high[0]) if len(high) == 1 else _split(powers, high, leaf) * power
    if len(low) > 1:
        return out + _split(powers, low, leaf)
    return out + low[0]


def _trimmed(terms: list[float]) -> list[float]:
    while len(terms) > 1 and not terms[-1]:
        terms = terms[:-1]
    return terms


@final
@dataclass(frozen=True)
class Planned:
    """What an array of these bounds would become: operators on bounds alone."""

    arithmetic: AnyArithmetic
    bounds: Any

    def __mul__(self, other: Planned | float) -> Planned:
        if isinstance(other, Planned):
            return Planned(self.arithmetic, self.arithmetic.product(self.bounds, other.bounds))
        size = abs(other)
        return Planned(self.arithmetic, self.arithmetic.combination(self.bounds, norm=size, largest=size, scalar=True))

    def __add__(self, other: Planned | float) -> Planned:
        if isinstance(other, Planned):
            return Planned(self.arithmetic, self.arithmetic.sum(self.bounds, other.bounds))
        return Planned(self.arithmetic, self.arithmetic.shifted(self.bounds, abs(other)))
