"""Arrays of additively homomorphic ciphertexts that compute as NumPy arrays do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import EllipsisType
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import (
    CiphertextOverflow,
    DomainError,
    KeyMismatch,
    SecrecyError,
    ShapeError,
    UnsupportedOperation,
)
from tacit.primitive.he.encoding import INTEGERS, REALS, Encoding, Numbers, Packing, decode, numbers
from tacit.primitive.he.modular import Rows
from tacit.primitive.he.scheme import AdditivePublicKey, AdditiveSecretKey

Selection: TypeAlias = (
    int | slice | EllipsisType | NDArray[Any] | Sequence[int] | tuple[int | slice | EllipsisType | None, ...] | None
)


@final
class CiphertextArray:
    """An n-dimensional array of numbers under one public key; make it with `encrypt` or `load`.

    Computes: +, - with ciphertexts and numbers; * and @ with numbers, on either side; sum, indexing, take, reshape,
              transpose, negation. Shapes broadcast as NumPy's do. float64 by fixed point, int64 exactly.
    Reveals:  nothing of the values. Shape, dtype, fraction_bits, packing and bound are public. Results of operations are
              NOT randomised: their ciphertexts depend on the operands in a way that shows whoever holds those which
              operation was made, with which numbers. `dump` randomises, always; nothing else may leave a party.
    Raises:   CiphertextOverflow before an operation whose result could leave the range of plaintexts (or of a lane);
              KeyMismatch where two keys meet; UnsupportedOperation for what additive encryption cannot do.

    `bound` is a magnitude, as an encoded integer, that no value can exceed. It grows with every operation by what is
    publicly known: by the declared magnitude of encrypted numbers, by counts, and by the magnitude of plaintext operands,
    rounded up to a power of two unless the caller declares one. A product adds up the fraction bits of its factors;
    a sum aligns them, by a multiplication by a power of two.
    """

    __slots__ = ("_rows", "bound", "dtype", "fraction_bits", "key", "packing", "shape")
    __array_ufunc__ = None  # so that `ndarray * array` comes to this class
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self,
        key: AdditivePublicKey,
        rows: Rows,
        shape: tuple[int, ...],
        *,
        dtype: np.dtype[Any],
        fraction_bits: int,
        bound: int,
        packing: Packing | None = None,
    ) -> None:
        self.key = key
        self.shape = shape
        self.dtype = dtype
        self.fraction_bits = fraction_bits
        self.bound = bound
        self.packing = packing
        self._rows = rows

    @property
    def size(self) -> int:
        """The number of ciphertexts."""
        return len(self._rows)

    @property
    def ndim(self) -> int:
        """The number of axes; that of packed lanes is not among them."""
        return len(self.shape)

    @property
    def limit(self) -> int:
        """What the bound may not exceed: half the plaintext space, or half a lane."""
        return self.key.capacity if self.packing is None else min(self.packing.limit, self.key.capacity)

    @property
    def T(self) -> CiphertextArray:  # noqa: N802 -- NumPy's name
        """The axes reversed."""
        return self.transpose()

    def __repr__(self) -> str:
        lanes = "" if self.packing is None else f", packing={self.packing.lanes}x{self.packing.lane_bits} bits"
        return (
            f"CiphertextArray({self.key.scheme}-{self.key.bits}, shape={self.shape}, dtype={self.dtype}, "
            f"fraction_bits={self.fraction_bits}, bound<2**{self.bound.bit_length()}{lanes})"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array without axes has no length")
        return self.shape[0]

    def __bool__(self) -> bool:
        raise SecrecyError("a ciphertext has no truth value: its key holder decrypts it")

    def __eq__(self, other: object) -> bool:
        raise SecrecyError("ciphertexts cannot be compared: their key holder decrypts them")

    # Sums -------------------------------------------------------------------------------------------------------------

    def __neg__(self) -> CiphertextArray:
        return self.replaced(self.key.negate(self._rows))

    def __add__(self, other: Any) -> CiphertextArray:
        return self.add(other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> CiphertextArray:
        return self.add(-other if isinstance(other, CiphertextArray) else _negated(other))

    def __rsub__(self, other: Any) -> CiphertextArray:
        return (-self).add(other)

    def add(self, other: Any, *, magnitude: float | None = None) -> CiphertextArray:
        """self + other, a ciphertext array or numbers. A packed array takes numbers of shape [..., lanes].

        Costs: one product per element, and where fraction bits differ a power for each of the coarser ones.
        """
        if isinstance(other, CiphertextArray):
            require_alike(self, other)
            fraction_bits = max(self.fraction_bits, other.fraction_bits)
            a, b = self.rescale(fraction_bits), other.rescale(fraction_bits)
            bound = a.checked(a.bound + b.bound, "a sum")
            shape = _broadcast(a.shape, b.shape)
            rows = self.key.add(a.spread(shape), b.spread(shape))
            return a.replaced(rows, shape=shape, bound=bound, dtype=np.result_type(a.dtype, b.dtype))
        values = numbers(other, what="a summand")
        dtype = np.result_type(self.dtype, values.dtype)
        fraction_bits = max(self.fraction_bits, REALS.fraction_bits if values.dtype == np.float64 else 0)
        a = self.rescale(fraction_bits)
        encoding = Encoding(fraction_bits, _magnitude(values) if magnitude is None else magnitude)
        bound = a.checked(a.bound + encoding.bound, "a sum")
        lanes = () if self.packing is None else (self.packing.lanes,)
        shape = _broadcast(self.shape, values.shape[: values.ndim - len(lanes)] if lanes else values.shape)
        whole = np.broadcast_to(values, shape + lanes)
        plain = _encoded(whole, encoding, self.packing)
        rows = self.key.add(a.spread(shape), self.key.trivial(plain))
        return a.replaced(rows, shape=shape, bound=bound, dtype=dtype)

    def sum(self, axis: int | None = None) -> CiphertextArray:
        """The sum over one axis, or over all. Costs: one product per element."""
        if axis is None:
            flat = self.reshape(-1)
            return flat.sum(0) if self.shape else self
        axis = _axis(axis, self.ndim)
        count = self.shape[axis]
        shape = self.shape[:axis] + self.shape[axis + 1 :]
        bound = self.checked(self.bound * max(count, 1), f"a sum of {count}")
        index = np.moveaxis(self.positions(), axis, -1).reshape(-1)
        starts = np.arange(int(np.prod(shape, dtype=np.int64)) + 1, dtype=np.int64) * count
        return self.replaced(self.key.sums(self._rows, index, starts), shape=shape, bound=bound)

    # Products ---------------------------------------------------------------------------------------------------------

    def __mul__(self, other: Any) -> CiphertextArray:
        return self.multiply(other)

    __rmul__ = __mul__

    def multiply(
        self, factors: Any, *, fraction_bits: int = REALS.fraction_bits, magnitude: float | None = None
    ) -> CiphertextArray:
        """self * factors, numbers of this party's own; one factor scales all lanes of a packed element.

        fraction_bits: of floating-point factors, 0 for integers. magnitude: a public bound of |factors|; without it, the
        power of two above the largest, which the bound (and the time taken) then shows to whoever receives the result.
        Costs: about 1.3 products per bit of the largest factor and element.
        """
        values, encoding = _factors(factors, fraction_bits, magnitude)
        bound = self.checked(self.bound * encoding.bound, "a product")
        shape = _broadcast(self.shape, values.shape)
        encoded = encoding.encode(values if values.size == 1 else np.broadcast_to(values, shape))
        return self._scaled(
            self.key.scale(self.spread(shape), encoded) if np.prod(shape) else self.spread(shape),
            shape,
            bound,
            encoding,
            values,
        )

    def __matmul__(self, other: Any) -> CiphertextArray:
        return self.matmul(other)

    def __rmatmul__(self, other: Any) -> CiphertextArray:
        values = numbers(other, what="a factor")
        if self.ndim == 1:
            return self.matmul(values.T)
        return self.T.matmul(values.T).T

    def matmul(
        self, factors: Any, *, fraction_bits: int = REALS.fraction_bits, magnitude: float | None = None
    ) -> CiphertextArray:
        """self @ factors for one or two axes each; see `multiply` for the arguments.

        Costs: for b-bit factors some b / 4 products per term, b squarings per result and 14 products per element.
        """
        values, encoding = _factors(factors, fraction_bits, magnitude)
        if self.ndim not in {1, 2} or values.ndim not in {1, 2} or self.shape[-1] != values.shape[0]:
            raise ShapeError(
                f"shapes {self.shape} and {values.shape} do not fit for a matrix product of 1 or 2 axes each"
            )
        terms = values.shape[0]
        bound = self.checked(self.bound * encoding.bound * max(terms, 1), f"a matrix product of {terms} terms")
        shape = self.shape[:-1] + values.shape[1:]
        matrix = values.reshape(terms, math.prod(values.shape[1:]))
        if terms == 0 or 0 in shape:
            rows = self.key.trivial([0] * int(np.prod(shape, dtype=np.int64)))
        else:
            flat, width = encoding.encode(matrix), matrix.shape[1]
            rows = self.key.matmul(self._rows, [flat[i : i + width] for i in range(0, len(flat), width)])
        return self._scaled(rows, shape, bound, encoding, values)

    def rescale(self, fraction_bits: int) -> CiphertextArray:
        """The same values with more fraction bits. Costs: one squaring per bit and element."""
        shift = fraction_bits - self.fraction_bits
        if shift == 0:
            return self
        if shift < 0:
            raise UnsupportedOperation(
                f"{self.fraction_bits} fraction bits cannot become {fraction_bits} under encryption: decrypt and encrypt again"
            )
        bound = self.checked(self.bound << shift, f"a value at {fraction_bits} fraction bits")
        rows = self.key.scale(self._rows, [1 << shift]) if self.size else self._rows
        return self.replaced(rows, bound=bound, fraction_bits=fraction_bits)

    # Shapes -----------------------------------------------------------------------------------------------------------

    def __getitem__(self, selection: Selection) -> CiphertextArray:
        return self._chosen(np.asarray(self.positions()[selection]))

    def take(self, indices: Any, axis: int = 0) -> CiphertextArray:
        """The elements at `indices` along one axis."""
        return self._chosen(np.take(self.positions(), indices, axis))

    def reshape(self, *shape: int | tuple[int, ...]) -> CiphertextArray:
        """The same ciphertexts in another shape; one size may be -1."""
        wanted: Any = shape[0] if len(shape) == 1 else shape
        return self.replaced(self._rows, shape=self.positions().reshape(wanted).shape)

    def transpose(self, *axes: int) -> CiphertextArray:
        """The axes in another order, by default reversed."""
        return self._chosen(self.positions().transpose(*axes))

    def randomise(self) -> CiphertextArray:
        """Other ciphertexts of the same values. Costs: an encryption each."""
        return self.replaced(self.key.randomise(self._rows))

    # Within the package -----------------------------------------------------------------------------------------------

    def rows(self) -> Rows:
        """The ciphertexts as the key's rows, flattened. They are not randomised: send `dump(array)` instead."""
        return self._rows

    def replaced(self, rows: Rows, **changes: Any) -> CiphertextArray:
        """The same facts, but those that change, about other ciphertexts."""
        facts: dict[str, Any] = {
            "shape": self.shape,
            "dtype": self.dtype,
            "fraction_bits": self.fraction_bits,
            "bound": self.bound,
            "packing": self.packing,
        }
        facts.update(changes)
        return CiphertextArray(self.key, rows, facts.pop("shape"), **facts)

    def _scaled(
        self, rows: Rows, shape: tuple[int, ...], bound: int, encoding: Encoding, values: Numbers
    ) -> CiphertextArray:
        return self.replaced(
            rows,
            shape=shape,
            bound=bound,
            dtype=np.result_type(self.dtype, values.dtype),
            fraction_bits=self.fraction_bits + encoding.fraction_bits,
        )

    def positions(self) -> NDArray[np.int64]:
        """The row of every element."""
        return np.arange(self.size, dtype=np.int64).reshape(self.shape)

    def _chosen(self, index: NDArray[np.int64]) -> CiphertextArray:
        return self.replaced(self._rows[index.reshape(-1)], shape=index.shape)

    def spread(self, shape: tuple[int, ...]) -> Rows:
        """The rows of the array broadcast to a shape."""
        return self._rows if shape == self.shape else self._rows[np.broadcast_to(self.positions(), shape).reshape(-1)]

    def checked(self, bound: int, what: str) -> int:
        """The bound itself, or CiphertextOverflow where it exceeds the limit."""
        if bound > self.limit:
            where = "the plaintexts of this key" if self.packing is None else f"lanes of {self.packing.lane_bits} bits"
            raise CiphertextOverflow(
                f"{what} could reach {bound.bit_length()} bits, and {where} hold {self.limit.bit_length()}. Declare a smaller "
                "magnitude or fewer fraction bits, or decrypt and encrypt again in between.",
                bound=bound,
                limit=self.limit,
            )
        return bound


def encrypt(
    key: AdditivePublicKey, values: Any, *, encoding: Encoding | None = None, packing: Packing | None = None
) -> CiphertextArray:
    """Encrypt an array of real numbers.

    encoding: by default 24 fraction bits and magnitudes up to 2**40 for floating point, all of int64 for integers (all
    that the key holds, for one with a small range). packing: the last axis of `values`, of `packing.lanes` numbers, goes
    into one ciphertext each, so the result has one axis less.
    Reveals: the magnitude that the encoding declares; nothing of the values.
    Raises:  FixedPointOverflow, CiphertextOverflow, ShapeError, UnsupportedOperation.
    """
    array = numbers(values, what="values to encrypt")
    if encoding is None:
        encoding = REALS if array.dtype == np.float64 else Encoding(0, float(min(2**63, key.capacity)))
    shape = array.shape
    if packing is not None:
        packing.require_room(key.capacity)
        if not shape or shape[-1] != packing.lanes:
            raise ShapeError(f"values of shape {shape} need a last axis of {packing.lanes}, one number for each lane")
        shape = shape[:-1]
    empty = CiphertextArray(
        key, key.trivial([]), shape, dtype=array.dtype, fraction_bits=encoding.fraction_bits, bound=0, packing=packing
    )
    bound = empty.checked(encoding.bound, "an encoded value")
    return empty.replaced(key.encrypt(_encoded(array, encoding, packing)), bound=bound)


def decrypt(key: AdditiveSecretKey, array: CiphertextArray) -> Numbers:
    """The numbers of an array, [..., lanes] where it is packed. Raises: CiphertextOverflow where one exceeds its bound.

    Okamoto-Uchiyama aside, exceeding a bound means that whoever computed the array did not keep to it.
    """
    if key.public.fingerprint != array.key.fingerprint:
        raise KeyMismatch(
            f"{array!r} was encrypted under key {array.key.fingerprint[:16]}, not {key.public.fingerprint[:16]}"
        )
    values = key.decrypt(array.rows())
    shape = array.shape
    if array.packing is not None:
        values = array.packing.unpack(values)
        shape = (*shape, array.packing.lanes)
    if any(abs(value) > array.bound for value in values):
        raise CiphertextOverflow(
            f"a decrypted value lies beyond the {array.bound.bit_length()} bits that its bound allows",
            bound=array.bound + 1,
            limit=array.bound,
        )
    return decode(values, array.fraction_bits, array.dtype, shape)


def concatenate(arrays: Sequence[CiphertextArray], axis: int = 0) -> CiphertextArray:
    """Join arrays of one key along an existing axis; fraction bits are aligned to the finest."""
    if not arrays:
        raise ShapeError("nothing to concatenate: pass at least one array")
    fraction_bits = max(array.fraction_bits for array in arrays)
    for array in arrays:
        require_alike(arrays[0], array)
    scaled = [array.rescale(fraction_bits) for array in arrays]
    starts = np.cumsum([0] + [array.size for array in scaled])
    index = np.concatenate(
        [array.positions() + start for array, start in zip(scaled, starts, strict=False)],
        axis,
    )
    whole = scaled[0].replaced(
        np.concatenate([array.rows() for array in scaled]),
        shape=(int(starts[-1]),),
        bound=max(array.bound for array in scaled),
        dtype=np.result_type(*(array.dtype for array in scaled)),
    )
    return whole[index]


def require_alike(a: CiphertextArray, b: CiphertextArray) -> None:
    """Raise KeyMismatch or UnsupportedOperation unless two arrays have one key and one packing."""
    if a.key.fingerprint != b.key.fingerprint:
        raise KeyMismatch(f"two keys meet: {a.key.fingerprint[:16]} and {b.key.fingerprint[:16]}")
    if a.packing != b.packing:
        raise UnsupportedOperation(f"arrays packed as {a.packing} and {b.packing} do not combine: pack both alike")


def _encoded(values: Numbers, encoding: Encoding, packing: Packing | None) -> list[int]:
    plain = encoding.encode(values)
    return plain if packing is None else packing.pack(plain)


def _factors(factors: Any, fraction_bits: int, magnitude: float | None) -> tuple[Numbers, Encoding]:
    if isinstance(factors, CiphertextArray):
        raise UnsupportedOperation(
            "additive encryption cannot multiply two ciphertexts. Have one of them in the clear, or compute on MPC."
        )
    values = numbers(factors, what="factors")
    bits = fraction_bits if values.dtype == np.float64 else INTEGERS.fraction_bits
    return values, Encoding(bits, _magnitude(values) if magnitude is None else magnitude)


def _negated(other: Any) -> Numbers:
    values = numbers(other, what="a summand")
    if values.dtype == np.int64 and values.size and values.min() == -(2**63):
        raise DomainError("-2**63 cannot be subtracted: int64 has no 2**63. Negate the ciphertexts and add it instead.")
    return -values


def _magnitude(values: Numbers) -> float:
    """The power of two at or above the largest magnitude; 1 at least, and finite."""
    largest = max(abs(float(values.min())), abs(float(values.max()))) if values.size else 0.0
    return (
        float(2.0 ** np.ceil(np.log2(largest))) if 1.0 < largest < 2.0**1023 else 1.0 if largest <= 1.0 else 2.0**1023
    )


def _broadcast(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        raise ShapeError(f"shapes {a} and {b} do not broadcast") from None


def _axis(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise ShapeError(f"axis {axis} is outside the {ndim} axes of the array")
    return axis % ndim
