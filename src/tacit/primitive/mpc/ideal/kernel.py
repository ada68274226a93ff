"""The `Ideal` protocol as a `Kernel`: every operation on values in clear, as the ring and the roundings have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import DomainError
from tacit.primitive.driver import Driver
from tacit.primitive.local import NativeLocal
from tacit.primitive.mpc.ideal.share import ClearArith, ClearBits
from tacit.primitive.mpc.ideal.watch import Sentinel, Watch
from tacit.primitive.mpc.kernel import AbstractKernel, Bilinear, Linear, Ring, Separable, Shape
from tacit.primitive.prg import Prg
from tacit.primitive.profile import Where

_ONES = np.uint64(2**64 - 1)


@final
class IdealKernel(AbstractKernel[ClearArith, ClearBits]):
    """The plaintext reference.

    Computes: what a real protocol computes, bit for bit; truncation is the exact floor, or with `rounding="noisy"` the
        floor or floor + 1 that the real protocols may give, drawn from `prg` as they draw it: up with the probability
        of the cut fraction.
    Reveals: everything; there is no security.
    Costs: no message. With a `driver`, each interactive operation is one empty exchange, so that the driver's
        `profile.rounds` counts the longest chain of interactive operations; `tally` counts elements by operation.
    Errors: DomainError where a permutation, a truncation or a share cannot be used.

    `watch` receives the true size of every result, in ring units, at the place that `where` returns.
    """

    def __init__(
        self,
        prg: Prg | None = None,
        *,
        rounding: str = "floor",
        driver: Driver | None = None,
        local: NativeLocal | None = None,
        watch: Watch | None = None,
        where: Callable[[], Where] = lambda: Where(0, "ideal"),
    ) -> None:
        if rounding not in {"floor", "noisy"}:
            raise DomainError(f"rounding is 'floor' or 'noisy', not {rounding!r}")
        self.tally: dict[str, int] = {}
        self._prg = prg or Prg.from_os()
        self._noisy = rounding == "noisy"
        self._driver = driver
        self._local = local or NativeLocal()
        self._sentinel = None if watch is None else Sentinel(watch, where)

    # --- local on ring elements ---------------------------------------------------------------------------------

    def public(self, values: Ring) -> ClearArith:
        """Embed public ring elements."""
        return self._keep(np.asarray(values, np.uint64))

    def add(self, x: ClearArith, y: ClearArith) -> ClearArith:
        """x + y."""
        return self.linear(np.add, x, y)

    def sub(self, x: ClearArith, y: ClearArith) -> ClearArith:
        """x - y."""
        return self.linear(np.subtract, x, y)

    def add_public(self, x: ClearArith, values: Ring) -> ClearArith:
        """x + public values."""
        return self.linear(np.add, x, ClearArith(values))

    def scale(self, x: ClearArith, values: Ring) -> ClearArith:
        """x times public ring elements."""
        if self._sentinel is not None:
            self._sentinel.real(_signed(x.ring) * _signed(values))
        return ClearArith(np.asarray(x.ring * values))

    def linear(self, function: Linear, *xs: ClearArith) -> ClearArith:
        """A linear map of one or several tensors."""
        rings = [x.ring for x in xs]
        if self._sentinel is not None:
            self._sentinel.linear(function, *rings)
        return ClearArith(np.asarray(function(*rings)))

    # --- local on bits ------------------------------------------------------------------------------------------

    def public_bits(self, values: NDArray[np.bool_]) -> ClearBits:
        """Embed public bits."""
        return ClearBits(np.asarray(values, np.uint8))

    def xor(self, a: ClearBits, b: ClearBits) -> ClearBits:
        """a XOR b."""
        return ClearBits(np.asarray(_alike(a, b).bits ^ b.bits))

    def invert(self, a: ClearBits) -> ClearBits:
        """NOT a."""
        return ClearBits(np.asarray(a.bits ^ np.uint8(1)))

    def mask_bits(self, a: ClearBits, values: NDArray[np.bool_]) -> ClearBits:
        """a AND public bits."""
        return ClearBits(np.asarray(a.bits & np.asarray(values, np.uint8)))

    def rearrange(self, function: Callable[..., Any], *xs: ClearBits) -> ClearBits:
        """A view-like map of bit tensors."""
        return ClearBits(np.asarray(function(*[x.bits for x in xs])))

    # --- interactive --------------------------------------------------------------------------------------------

    async def product(self, form: Bilinear, x: ClearArith, y: ClearArith, *, truncate: int = 0) -> ClearArith:
        """form(x, y) / 2**truncate."""
        shape = form.shape(x.ring.shape, y.ring.shape)
        await self._interact("product", shape)
        if self._sentinel is not None:
            self._sentinel.product(form, self._local, x.ring, y.ring)
        ring = np.asarray(form.apply(self._local, x.ring, y.ring))
        return ClearArith(self._shift(ring, truncate) if truncate else ring)

    async def prepare(self, x: ClearArith) -> None:
        """Nothing to do."""

    async def truncate(self, x: ClearArith, bits: int) -> ClearArith:
        """x / 2**bits."""
        await self._interact("truncate", x.ring.shape)
        return self._keep(self._shift(x.ring, bits))

    async def separable(self, x: ClearArith, function: Separable) -> ClearArith:
        """function(x), by the factors of a visible u = x + v and of its mask v, as a real protocol computes it."""
        await self._interact("separable", x.ring.shape)
        flat = np.ascontiguousarray(x.ring).reshape(-1)
        mask = self._prg.words(self._prg.last_stream + 1, flat.shape)
        factors = np.zeros((function.terms, flat.size), np.uint64)
        self._local.separable_deal(function, mask, factors, factors)
        ring = self._local.separable_close(function, flat + mask, factors)
        return self._keep(self._shift(ring, function.scale).reshape(x.ring.shape))

    async def negative(self, x: ClearArith) -> ClearBits:
        """[x < 0]."""
        await self._interact("negative", x.ring.shape)
        return ClearBits(np.asarray(x.ring >> np.uint64(63)).astype(np.uint8))

    async def both(self, a: ClearBits, b: ClearBits) -> ClearBits:
        """a AND b."""
        await self._interact("both", a.bits.shape)
        return ClearBits(np.asarray(_alike(a, b).bits & b.bits))

    async def lift(self, a: ClearBits) -> ClearArith:
        """The bits as ring elements."""
        await self._interact("lift", a.bits.shape)
        return ClearArith(a.bits.astype(np.uint64))

    async def gate(self, a: ClearBits, x: ClearArith) -> ClearArith:
        """x where the bit is 1, else 0."""
        await self._interact("gate", x.ring.shape)
        return ClearArith(np.asarray(_alike(a, x).bits * x.ring))

    async def decompose(self, x: ClearArith, count: int) -> ClearBits:
        """The low `count` bits, low bit first, as a new last axis."""
        await self._interact("decompose", (*x.ring.shape, count))
        return ClearBits(((x.ring[..., None] >> np.arange(count, dtype=np.uint64)) & np.uint64(1)).astype(np.uint8))

    async def compose(self, a: ClearBits) -> ClearArith:
        """sum over the last axis of 2**i * bit i."""
        await self._interact("compose", a.bits.shape)
        weights = np.left_shift(np.uint64(1), np.arange(a.bits.shape[-1], dtype=np.uint64))
        return self._keep(np.asarray((a.bits * weights).sum(axis=-1, dtype=np.uint64)))

    async def shuffle(self, x: ClearArith) -> ClearArith:
        """The rows in a uniformly random order."""
        await self._interact("shuffle", x.ring.shape)
        order = self._prg.permutation(self._prg.last_stream + 1, x.ring.shape[0])
        return ClearArith(x.ring[order])

    async def open_bits(self, a: ClearBits) -> NDArray[np.bool_]:
        """The bits."""
        await self._interact("open_bits", a.bits.shape)
        return a.bits.astype(np.bool_)

    # --- in and out ---------------------------------------------------------------------------------------------

    async def share(self, owner: str, shape: Shape, values: Ring | None) -> ClearArith:
        """The owner's ring elements; there is one party, so it is the owner."""
        await self._interact("share", shape)
        if values is None:
            raise DomainError(f"the only party of an Ideal session holds no values of {owner}")
        return self._keep(np.asarray(values, np.uint64))

    async def reveal(self, x: ClearArith, to: Sequence[str]) -> Ring:  # noqa: ARG002 there is one party
        """The ring elements."""
        await self._interact("reveal", x.ring.shape)
        return x.ring

    async def reveal_bits(self, a: ClearBits, to: Sequence[str]) -> NDArray[np.bool_]:  # noqa: ARG002
        """The bits."""
        await self._interact("reveal_bits", a.bits.shape)
        return a.bits.astype(np.bool_)

    def dump(self, x: ClearArith) -> list[Ring]:
        """The ring elements."""
        return [x.ring]

    def restore(self, shape: Shape, arrays: Sequence[Ring]) -> ClearArith:
        """The inverse of `dump`."""
        (ring,) = arrays
        return ClearArith(ring.reshape(shape))

    # --- inside -------------------------------------------------------------------------------------------------

    async def _interact(self, name: str, shape: Shape) -> None:
        size = 1
        for extent in shape:
            size *= extent
        self.tally[name] = self.tally.get(name, 0) + size
        if self._driver is not None:
            await self._driver.exchange((), ())

    def _keep(self, ring: Ring) -> ClearArith:
        if self._sentinel is not None:
            self._sentinel.ring(ring)
        return ClearArith(ring)

    def _shift(self, ring: Ring, bits: int) -> Ring:
        """floor(ring / 2**bits), or the next integer where a uniform c in [0, 2**bits) lies below the cut fraction."""
        if not 0 <= bits <= 62:
            raise DomainError(f"a truncation cuts 0 to 62 bits, not {bits}")
        shifted = np.asarray(np.right_shift(ring.view(np.int64), np.int64(bits))).view(np.uint64)
        if not self._noisy or not bits:
            return shifted
        cut = np.uint64(2**bits - 1)
        visible = self._prg.words(self._prg.last_stream + 1, ring.shape) & cut
        return np.asarray(np.add(shifted, visible < (ring & cut), dtype=np.uint64))


def _signed(ring: Ring) -> NDArray[np.float64]:
    return np.asarray(ring).view(np.int64).astype(np.float64)


def _alike(a: ClearBits, x: ClearArith | ClearBits) -> ClearBits:
    """Check what the contract of `Kernel` demands, so that the oracle refuses what a real protocol would refuse."""
    if a.shape != x.shape:
        raise DomainError(f"bits of shape {a.shape} meet {x.shape}; shapes must be equal here")
    return a
