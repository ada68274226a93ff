"""Arrays of packed ciphertexts that compute as NumPy arrays do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import (
    CiphertextOverflow,
    KeyMismatch,
    LevelsExhausted,
    SecrecyError,
    ShapeError,
    UnsupportedOperation,
)
from tacit.primitive.he.packed.context import AnyArithmetic, PublicContext, SecretContext
from tacit.primitive.he.packed.engine import Ciphertext, rotations_for
from tacit.primitive.he.packed.library import Transparent
from tacit.primitive.he.packed.slots import Layout, rows


@final
class PackedArray:
    """An n-dimensional array of encrypted numbers under one key; make it with `encrypt` or `load`.

    Computes: +, -, * with arrays and numbers; @ with plaintext matrices on either side, and with vectors; sum over one or
              all axes, dot, polynomial, slicing, transposition, reshape. Shapes broadcast as NumPy's do where a
              ciphertext need not be spread: scalars, rows, and numbers of any shape.
    Reveals:  nothing of the values. Shape, places and bounds are public. Slots beside the array's own may hold other
              results (after slicing, and after sums over a part of the slots): `clean` tells; the key holder would see
              them, so `dump` clears them first. To the key holder the noise of a result tells how it was computed.
    Error:    CKKS: a decrypted number differs by at most `error` from NumPy's result, as long as the numbers encrypted
              kept to their declared `magnitude`; exceeded with probability below 2**-24 for a whole computation. BFV: none.
    Raises:   before any work: LevelsExhausted, CiphertextOverflow, KeyMismatch, ShapeError, UnsupportedOperation.
    Costs:    `levels` counts the products that may still follow one another.
    """

    __slots__ = ("_cells", "bounds", "clean", "context", "layout")
    __array_ufunc__ = None  # so that `ndarray * array` comes to this class
    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, context: PublicContext, cells: Sequence[Ciphertext], layout: Layout, bounds: Any, *, clean: bool
    ) -> None:
        self.context = context
        self.layout = layout
        self.bounds = bounds
        self.clean = clean
        self._cells = list(cells)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.layout.shape

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return self.layout.size

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.layout.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """float64 for CKKS, int64 for BFV."""
        return np.dtype(self.arithmetic.dtype)

    @property
    def levels(self) -> int:
        """How many products may still follow one another; for BFV, of two such arrays."""
        return self.arithmetic.products_left(self.bounds)

    @property
    def magnitude(self) -> float:
        """What no number exceeds."""
        return self.arithmetic.magnitude(self.bounds)

    @property
    def error(self) -> float:
        """The largest absolute error of a decrypted number; 0 for BFV."""
        return self.arithmetic.error(self.bounds)

    @property
    def arithmetic(self) -> AnyArithmetic:
        """The scheme's operations."""
        return self.context.arithmetic

    @property
    def cells(self) -> list[Ciphertext]:
        """SEAL's ciphertexts, not to be changed."""
        return self._cells

    def __repr__(self) -> str:
        return (
            f"PackedArray({self.context.parameters.scheme}-{self.context.parameters.degree}, shape={self.shape}, "
            f"ciphertexts={len(self._cells)}, levels={self.levels}, magnitude<={self.magnitude:.3g}, error<={self.error:.3g})"
        )

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array without axes has no length")
        return self.shape[0]

    def __bool__(self) -> bool:
        raise SecrecyError("a ciphertext has no truth value: its key holder decrypts it")

    def __eq__(self, other: object) -> bool:
        raise SecrecyError("ciphertexts cannot be compared: their key holder decrypts them")

    def __iter__(self) -> Any:
        return (self[index] for index in range(len(self)))

    # Sums -------------------------------------------------------------------------------------------------------------

    def __neg__(self) -> PackedArray:
        return self.made([self.context.engine.negate(cell) for cell in self._cells])

    def __add__(self, other: Any) -> PackedArray:
        return self._sum(other, self.context.engine.add)

    __radd__ = __add__

    def __sub__(self, other: Any) -> PackedArray:
        if isinstance(other, PackedArray):
            return self._sum(other, self.context.engine.subtract)
        return self._shift(-self.arithmetic.numbers(other, "summands"))

    def __rsub__(self, other: Any) -> PackedArray:
        return (-self)._shift(self.arithmetic.numbers(other, "summands"))

    def _sum(self, other: Any, operation: Callable[[Ciphertext, Ciphertext], Ciphertext]) -> PackedArray:
        if not isinstance(other, PackedArray):
            return self._shift(self.arithmetic.numbers(other, "summands"))
        a, b, layout = aligned(self, other)
        bounds = self.arithmetic.sum(a.bounds, b.bounds)
        clean = a.clean and b.clean and a.layout.same(b.layout)
        cells = self._paired(a, b, bounds, layout.count, operation)
        return PackedArray(self.context, cells, layout, bounds, clean=clean)

    def _shift(self, values: NDArray[Any]) -> PackedArray:
        self._require_shape(values)
        bounds = self.arithmetic.shifted(self.bounds, _largest(values))
        level = self.arithmetic.level(self.bounds)
        if not values.any():
            return self
        if self.layout.uniform:
            plains = [self.arithmetic.encode_scalar(values.reshape(-1)[0], level)]
        else:
            plains = [self.arithmetic.encode(slots, level) for slots in self.layout.scatter(values)]
        cells = [self.context.engine.add_plain(cell, plain) for cell, plain in zip(self._cells, plains, strict=True)]
        return self.made(cells, bounds)

    # Products ---------------------------------------------------------------------------------------------------------

    def __mul__(self, other: Any) -> PackedArray:
        if not isinstance(other, PackedArray):
            return self._scale(self.arithmetic.numbers(other, "factors"))
        a, b, layout = aligned(self, other)
        bounds = self.arithmetic.product(a.bounds, b.bounds)
        clean = (a.clean and a.layout.same(layout)) or (b.clean and b.layout.same(layout))
        level = min(self.arithmetic.level(a.bounds), self.arithmetic.level(b.bounds))
        cells = self._paired(a, b, bounds, layout.count, self.context.engine.multiply, level=level)
        return PackedArray(self.context, cells, layout, bounds, clean=clean)

    __rmul__ = __mul__

    def square(self) -> PackedArray:
        """self * self, a third cheaper."""
        return self * self

    def _scale(self, values: NDArray[Any], *, everywhere: bool = True) -> PackedArray:
        """The product with numbers; `everywhere`: one number may multiply the slots beside the array's, too."""
        self._require_shape(values)
        arithmetic, level, size = self.arithmetic, self.arithmetic.level(self.bounds), _largest(values)
        scalar = values.size == 1 and everywhere
        bounds = arithmetic.combination(self.bounds, norm=size, largest=size, scalar=scalar)
        if not values.any():
            return self.made([arithmetic.zero(arithmetic.level(bounds)) for _ in self._cells], bounds, clean=True)
        if scalar:
            plains = [arithmetic.encode_scalar(values.reshape(-1)[0], level)] * len(self._cells)
        else:
            plains = [arithmetic.encode(slots, level) for slots in self.layout.scatter(values)]
        cells = [
            self._product(self.context.engine.multiply_plain, cell, plain, bounds, level)
            for cell, plain in zip(self._cells, plains, strict=True)
        ]
        return self.made(cells, bounds, clean=self.clean or not scalar)

    def __matmul__(self, other: Any) -> PackedArray:
        from tacit.primitive.he.packed.matmul import matmul

        if isinstance(other, PackedArray):
            return self.dot(other)
        return matmul(self, self.arithmetic.numbers(other, "a matrix"))

    def __rmatmul__(self, other: Any) -> PackedArray:
        from tacit.primitive.he.packed.matmul import matmul_left

        return matmul_left(self.arithmetic.numbers(other, "a matrix"), self)

    def dot(self, other: Any) -> PackedArray:
        """The product with a vector: of ciphertexts [..., n] and [n], or of numbers as by @.

        Costs: with a ciphertext, one level and log2(n) rotations; a matrix times a vector takes a level more to be sent.
        """
        if not isinstance(other, PackedArray):
            return self @ other
        if other.ndim != 1 or self.ndim < 1 or self.shape[-1] != other.shape[0]:
            raise UnsupportedOperation(
                f"ciphertexts of shapes {self.shape} and {other.shape} have no product here: the second must be a vector as "
                "long as the first's last axis. Have one of them in the clear, or multiply column by column."
            )
        return (self * other).sum(axis=-1)

    def sum(self, axis: int | None = None) -> PackedArray:
        """The sum over all numbers, or over one axis; see `sums`."""
        from tacit.primitive.he.packed.sums import sum_all, sum_axis

        return sum_all(self) if axis is None else sum_axis(self, axis)

    def mean(self, axis: int | None = None) -> PackedArray:
        """The mean, for CKKS: a sum, and a level for the division."""
        if self.dtype != np.float64:
            raise UnsupportedOperation("BFV cannot divide. Decrypt the sum, and divide it there.")
        total = self.sum(axis)
        return total * (total.size / self.size)

    def polynomial(self, coefficients: Sequence[float]) -> PackedArray:
        """coefficients[0] + coefficients[1] x + ... for every number x; see `polynomial`."""
        from tacit.primitive.he.packed.polynomial import polynomial

        return polynomial(self, coefficients)

    # Shapes -----------------------------------------------------------------------------------------------------------

    def __getitem__(self, selection: Any) -> PackedArray:
        """Slices and integers; no work, but the other numbers stay in their slots until `cleaned`."""
        for item in selection if isinstance(selection, tuple) else (selection,):
            if not (item is None or item is Ellipsis or isinstance(item, (int, np.integer, slice))):
                raise UnsupportedOperation(
                    "ciphertexts are selected by integers and slices. Multiply by a matrix of zeros and ones to permute them."
                )
        layout, used = self.layout.select(selection)
        if not layout.size:
            raise ShapeError(f"nothing is left of shape {self.shape}")
        clean = self.clean and self._covers(layout, used)
        return PackedArray(self.context, [self._cells[index] for index in used], layout, self.bounds, clean=clean)

    def _covers(self, layout: Layout, used: NDArray[np.int64]) -> bool:
        """Whether a selection takes all numbers of the ciphertexts that it still needs."""
        cells = self.layout.places // self.layout.geometry.slots
        return layout.size == int(np.isin(cells, used).sum())

    @property
    def T(self) -> PackedArray:  # noqa: N802 -- NumPy's name
        """The axes reversed; no work."""
        return self.placed(self.layout.places.T)

    def reshape(self, *shape: Any) -> PackedArray:
        """The same numbers, in another shape; no work."""
        try:
            return self.placed(self.layout.places.reshape(*shape))
        except ValueError:
            raise ShapeError(f"shape {self.shape} cannot become {shape}") from None

    def placed(self, places: NDArray[np.int64]) -> PackedArray:
        """The numbers of the same ciphertexts that lie in these places."""
        return PackedArray(self.context, self._cells, self.layout.replaced(places), self.bounds, clean=self.clean)

    def repacked(self) -> PackedArray:
        """The same numbers in the places that a fresh encryption of this shape would have.

        Costs: a level, and a rotation for every distance that a number moves by.
        """
        from tacit.primitive.he.packed.linear import repack

        return repack(self)

    def cleaned(self) -> PackedArray:
        """The same numbers with zeros beside them. Costs: a level where `clean` is false, nothing where it is true."""
        if self.clean:
            return self
        try:
            return self._scale(np.ones(self.shape, self.dtype), everywhere=False)
        except LevelsExhausted as error:
            raise LevelsExhausted(
                "the slots beside these numbers hold others, and clearing them takes a level that is not left. Slice or sum "
                "before the last product, or generate a key with one level more.",
                needed=error.needed,
                left=error.left,
            ) from None

    def lowered(self, levels: int) -> PackedArray:
        """The same numbers with fewer levels left, for CKKS: a smaller ciphertext to send."""
        if levels >= self.levels or self.dtype != np.float64:
            return self
        if levels < 0:
            raise LevelsExhausted("an array cannot have fewer levels than none", needed=0, left=self.levels)
        bounds = self.arithmetic.lowered_bounds(self.bounds, levels)  # type: ignore[attr-defined]
        return self.made([self.arithmetic.lowered(cell, self.bounds, bounds) for cell in self._cells], bounds)

    # What the modules beside this one build on ------------------------------------------------------------------------

    def made(self, cells: Sequence[Ciphertext], bounds: Any = None, *, clean: bool | None = None) -> PackedArray:
        """Other ciphertexts in the same places."""
        return PackedArray(
            self.context,
            cells,
            self.layout,
            self.bounds if bounds is None else bounds,
            clean=self.clean if clean is None else clean,
        )

    def rotated(self, steps: int, *, exchange: bool, layout: Layout) -> PackedArray:
        """All slots moved, so that the numbers lie as `layout` says."""
        times = rotations_for(steps, layout.geometry.lane) + exchange
        bounds = self.arithmetic.rotated(self.bounds, times)
        cells = [self.context.engine.rotate(cell, steps, exchange=exchange) for cell in self._cells]
        return PackedArray(self.context, cells, layout, bounds, clean=self.clean)

    def _paired(
        self,
        a: PackedArray,
        b: PackedArray,
        bounds: Any,
        count: int,
        operation: Callable[[Ciphertext, Ciphertext], Ciphertext],
        *,
        level: int | None = None,
    ) -> list[Ciphertext]:
        """Ciphertext by ciphertext, at one level; `level` is that of a product's operands."""
        left, right = (_level_cells(x, a, b) for x in (a, b))
        out = []
        for index in range(count):
            x, y = left[index % len(left)], right[index % len(right)]
            if a is b:
                y = x
            if level is None:
                try:
                    out.append(operation(x, y))
                except Transparent:
                    out.append(self.arithmetic.zero(self.arithmetic.level(bounds)))
            else:
                out.append(self._product(operation, x, y, bounds, level))
        return out

    def _product(
        self, operation: Callable[[Any, Any], Ciphertext], cell: Any, factor: Any, bounds: Any, level: int
    ) -> Ciphertext:
        try:
            out = operation(cell, factor)
        except Transparent:
            return self.arithmetic.zero(self.arithmetic.level(bounds))
        self.arithmetic.finished(out, level)
        return out

    def _require_shape(self, values: NDArray[Any]) -> None:
        try:
            shape = np.broadcast_shapes(values.shape, self.shape)
        except ValueError:
            raise ShapeError(f"shapes {self.shape} and {values.shape} do not broadcast") from None
        if shape != self.shape:
            raise UnsupportedOperation(
                f"an encrypted array of shape {self.shape} cannot be spread to {shape}. Encrypt it in that shape."
            )


def encrypt(public: PublicContext, values: Any, *, magnitude: float | None = None) -> PackedArray:
    """Fresh ciphertexts of an array of any shape, or of one number.

    values: real numbers for CKKS, integers for BFV. An array that fits a lane of slots is repeated over the ciphertext.
    magnitude: what no value exceeds, a public declaration that all bounds follow from. The smallest power of two at or
    above the largest value unless given, which tells others that much.
    Reveals: the shape and the magnitude. Costs: one encryption per ciphertext, 3 to 10 ms each.
    Error: CKKS: (N / 2 + rounding) / 2**scale_bits, 2**-23 at 40 bits in degree 8192; exact for BFV.
    Raises: CiphertextOverflow where a value exceeds the magnitude; InputError where it is no number of the scheme.
    """
    arithmetic = public.arithmetic
    array = arithmetic.numbers(values, "values")
    largest = _largest(array)
    bound = _power_above(largest) if magnitude is None else float(magnitude)
    if not largest <= bound:
        raise CiphertextOverflow(
            f"a value exceeds the declared magnitude {bound:.6g}. Declare a larger one, or scale the values.",
            bound=int(largest),
            limit=int(bound),
        )
    if array.dtype == np.int64 and magnitude is None:
        bound = min(bound, float((public.ring.plain_modulus - 1) // 2))
    layout = rows(public.ring.geometry, array.shape)
    bounds = arithmetic.fresh(bound)
    top = arithmetic.level(bounds)
    if layout.uniform:
        plains = [arithmetic.encode_scalar(array.reshape(-1)[0], top)]
    else:
        plains = [arithmetic.encode(slots, top) for slots in layout.scatter(array)]
    return PackedArray(public, [public.engine.encrypt(plain) for plain in plains], layout, bounds, clean=True)


def decrypt(secret: SecretContext, array: PackedArray) -> NDArray[Any]:
    """The numbers, for the key holder's eyes: float64 within `array.error` for CKKS, int64 exactly for BFV.

    Reveals: to the key holder, the numbers, and in `array`'s other slots whatever they hold unless it is clean.
    CKKS: do NOT show the result to anybody else. It contains the encryption noise, from which whoever knows the
    ciphertexts finds the secret key by linear algebra. `decrypt_to_share` is what to show others.
    Source: Li and Micciancio, "On the security of homomorphic encryption on approximate numbers", 2021.
    Raises: KeyMismatch; LevelsExhausted where a BFV ciphertext that others made wrongly is lost to noise.
    """
    if array.context.fingerprint != secret.public.fingerprint:
        raise KeyMismatch("the array was encrypted under another key than this one")
    arithmetic = secret.public.arithmetic
    return array.layout.gather(np.stack([arithmetic.decode(secret.open(cell)) for cell in array.cells]))


def aligned(a: PackedArray, b: PackedArray) -> tuple[PackedArray, PackedArray, Layout]:
    """Two arrays whose numbers meet in the same slots, and the layout of what an operation makes of them."""
    if a.context is not b.context and a.context.fingerprint != b.context.fingerprint:
        raise KeyMismatch("the two arrays were encrypted under different keys")
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ShapeError(f"shapes {a.shape} and {b.shape} do not broadcast") from None
    if a.layout.carries(b.layout):
        return a, b, a.layout
    if b.layout.carries(a.layout):
        return a, b, b.layout
    if (moved := _moved(b, a.layout)) is not None and a.layout.carries(moved.layout):
        return a, moved, a.layout
    if (moved := _moved(a, b.layout)) is not None and b.layout.carries(moved.layout):
        return moved, b, b.layout
    raise UnsupportedOperation(
        f"two arrays of shapes {a.shape} and {b.shape} lie in their slots so differently that no rotation brings them "
        "together. Bring both to the usual places with repacked(), which costs a level each, or encrypt them in one shape."
    )


def _moved(array: PackedArray, to: Layout) -> PackedArray | None:
    """The array, rotated so that its numbers lie where those of `to` are; None where no one rotation does that."""
    own, geometry = array.layout, array.layout.geometry
    if own.shape != to.shape or own.count != to.count or own.period < to.period:
        return None
    slots, lane = geometry.slots, geometry.lane
    if not np.array_equal(own.places // slots, to.places // slots):
        return None
    there, here = to.places % slots, own.places % slots
    exchange = (there // lane ^ here // lane) if own.period > lane else np.zeros_like(there)
    steps = (here - there) % min(lane, own.period)
    if not ((exchange == exchange.flat[0]).all() and (steps == steps.flat[0]).all()):
        return None
    moved = own.replaced(to.places % slots % own.period + to.places // slots * slots)
    return array.rotated(int(steps.flat[0]), exchange=bool(exchange.flat[0]), layout=moved)


def _level_cells(x: PackedArray, a: PackedArray, b: PackedArray) -> list[Ciphertext]:
    arithmetic = x.arithmetic
    level = min(arithmetic.level(a.bounds), arithmetic.level(b.bounds))
    if arithmetic.level(x.bounds) == level:
        return x.cells
    return x.lowered(level).cells


def _largest(values: NDArray[Any]) -> float:
    return max(abs(float(values.max())), abs(float(values.min()))) if values.size else 0.0


def _power_above(value: float) -> float:
    return float(2.0 ** np.ceil(np.log2(value))) if value > 1.0 else 1.0
