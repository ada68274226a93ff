"""Numbers as the integers that ciphertexts hold: fixed point, and several numbers in one plaintext."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import CiphertextOverflow, FixedPointOverflow, InputError, UnsupportedOperation

Numbers: TypeAlias = NDArray[np.number[Any]]  # float64 or int64, as `numbers` makes them


@final
@dataclass(frozen=True)
class Encoding:
    """A number x is the integer round(x * 2**fraction_bits), half to even; |x| may reach `magnitude`.

    The magnitude is a public declaration, not a property of the data: what others may compute on the ciphertexts
    follows from it, and so it travels with them. Integers have no fraction bits.
    Raises: FixedPointOverflow where a number exceeds the magnitude; InputError where one is not finite.
    """

    fraction_bits: int = 24
    magnitude: float = 2.0**40

    def __post_init__(self) -> None:
        if not 0 <= self.fraction_bits <= 512 or not 0 < self.magnitude < math.inf:
            raise InputError(
                f"fraction_bits must be between 0 and 512 and magnitude finite and above 0, not {self.fraction_bits} and "
                f"{self.magnitude}"
            )

    @property
    def bound(self) -> int:
        """The largest encoded magnitude."""
        return math.ceil(Fraction(self.magnitude) * 2**self.fraction_bits)

    def encode(self, values: Numbers) -> list[int]:
        """The integers of an array, flattened."""
        if values.size:
            lowest, highest = values.min(), values.max()
            if not (math.isfinite(lowest) and math.isfinite(highest)):
                raise InputError("a value is not finite: only numbers can be encrypted")
            observed = max(abs(int(lowest)), abs(int(highest)), abs(float(lowest)), abs(float(highest)))
            if observed > self.magnitude:
                raise FixedPointOverflow(
                    observed=float(observed), limit=float(self.magnitude), fraction_bits=self.fraction_bits
                )
        if values.dtype == np.int64:
            return [value << self.fraction_bits for value in values.reshape(-1).astype(np.int64).tolist()]
        return [
            int(value)
            for value in np.rint(np.ldexp(values.reshape(-1).astype(np.float64), self.fraction_bits)).tolist()
        ]


INTEGERS = Encoding(fraction_bits=0, magnitude=2.0**63)
REALS = Encoding()


@final
@dataclass(frozen=True)
class Packing:
    """`lanes` numbers in one plaintext: v[0] + v[1] 2**lane_bits + ..., each of a magnitude below 2**(lane_bits - 1).

    Lanes are signed: a negative one borrows from the next and unpacking gives it back, exactly as long as every lane
    stays within its bits. That is what the bound of a ciphertext array accounts for, so guard bits are those that the
    encoding leaves: with 64-bit numbers and 96-bit lanes, 2**31 can be added up.
    """

    lanes: int
    lane_bits: int

    def __post_init__(self) -> None:
        if not (1 <= self.lanes <= 4096 and 2 <= self.lane_bits <= 4096):
            raise InputError(f"lanes and lane_bits must be from 1 and 2 to 4096, not {self.lanes} and {self.lane_bits}")

    @property
    def limit(self) -> int:
        """The largest magnitude of a lane."""
        return (1 << (self.lane_bits - 1)) - 1

    def require_room(self, capacity: int) -> None:
        """CiphertextOverflow unless full lanes fit a plaintext."""
        if 1 << (self.lanes * self.lane_bits - 1) > capacity:
            raise CiphertextOverflow(
                f"{self.lanes} lanes of {self.lane_bits} bits take {self.lanes * self.lane_bits} bits; this key's plaintexts "
                f"have {capacity.bit_length() + 1}. Use fewer or narrower lanes.",
                bound=1 << (self.lanes * self.lane_bits - 1),
                limit=capacity,
            )

    def pack(self, values: Sequence[int]) -> list[int]:
        """One integer for every `lanes` in a row."""
        out = []
        for i in range(0, len(values), self.lanes):
            total = 0
            for value in reversed(values[i : i + self.lanes]):
                total = (total << self.lane_bits) + value
            out.append(total)
        return out

    def unpack(self, packed: Sequence[int]) -> list[int]:
        """The lanes of every integer; CiphertextOverflow where they do not account for all of it."""
        out = []
        half, modulus = 1 << (self.lane_bits - 1), 1 << self.lane_bits
        for total in packed:
            rest = total
            for _ in range(self.lanes):
                lane = ((rest + half) & (modulus - 1)) - half
                rest = (rest - lane) >> self.lane_bits
                out.append(lane)
            if rest:
                raise CiphertextOverflow(
                    f"a decrypted value does not fit {self.lanes} lanes of {self.lane_bits} bits: more was added up than "
                    "its bound says",
                    bound=self.limit + 1,
                    limit=self.limit,
                )
        return out


def numbers(values: Any, *, what: str) -> Numbers:
    """An array of float64 or int64; refuses what has no exact such form."""
    array = np.asarray(values)
    if array.dtype.kind == "f":
        return array.astype(np.float64)
    if array.dtype.kind in "bi" or (array.dtype.kind == "u" and (array.size == 0 or array.max() < 2**63)):
        return array.astype(np.int64)
    raise UnsupportedOperation(f"{what} must be real numbers that float64 or int64 holds, not {array.dtype}")


def decode(values: Sequence[int], fraction_bits: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Numbers:
    """Integers back to numbers: float64 rounded once, int64 exact or refused."""
    if dtype == np.float64:
        unit = 1 << fraction_bits
        try:
            return np.array([value / unit for value in values], np.float64).reshape(shape)
        except OverflowError:
            raise CiphertextOverflow(
                "a decrypted number does not fit float64: it is 2**1024 or larger",
                bound=unit << 1024,
                limit=(unit << 1024) - 1,
            ) from None
    if not all(-(2**63) <= value < 2**63 for value in values):
        raise CiphertextOverflow(
            "a decrypted integer does not fit int64: it needs 64 bits or more", bound=2**63, limit=2**63 - 1
        )
    return np.array(values, np.int64).reshape(shape)
