"""One way to run a library function in any protocol: share plain inputs, compute, reveal, and count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from tacit.primitive.driver import Driver
from tacit.primitive.local import decode, encode
from tacit.primitive.mpc.ideal import IdealKernel
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Boolean, Fixed, Integer
from tacit.primitive.prg import Prg
from tacit.primitive.profile import Profile

BITS = 18
OWNER = "alice"


class Public:
    """An input that every party knows."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)


class Scaled:
    """A real input of its own fraction bits."""

    def __init__(self, values: Any, bits: int) -> None:
        self.values = np.asarray(values, np.float64)
        self.bits = bits


@dataclass
class Outcome:
    """Plain results, and what they cost; `tally` counts elements by kernel operation where the protocol does."""

    value: Any
    profile: Profile
    tally: dict[str, int] = field(default_factory=dict)


class World(Protocol):
    """A protocol under test."""

    name: str
    exact: bool  # truncation is the floor

    def run(self, function: Any, *inputs: Any, bits: int = BITS, **params: Any) -> Outcome:
        """function(k, *shared inputs, **params), revealed: reals as float64, integers as int64, truth values as bool."""


class IdealWorld:
    """The plaintext reference, with the exact floor or with the noise of a real truncation."""

    def __init__(self, rounding: str) -> None:
        self.name = f"ideal-{rounding}"
        self.exact = rounding == "floor"
        self._rounding = rounding

    def run(self, function: Any, *inputs: Any, bits: int = BITS, **params: Any) -> Outcome:
        driver = Driver(OWNER, {})
        kernel = IdealKernel(Prg(b"a key for a test"), rounding=self._rounding, driver=driver)
        before = {}

        async def program() -> Any:
            values = [await share_in(kernel, x, bits, mine=True) for x in inputs]
            kernel.tally.clear()
            before["rounds"] = driver.profile.rounds
            return await reveal_all(kernel, await function(kernel, *values, **params), [OWNER], before, driver, kernel)

        value = driver.run(program())
        driver.profile.rounds = before["after"] - before["rounds"]
        return Outcome(value, driver.profile, before["tally"])


async def share_in(k: Kernel, x: Any, bits: int, *, mine: bool) -> Any:
    """One input as its owner shares it: float64 to `Fixed`, int64 to `Integer`, bool to `Boolean`, `Public` as it is."""
    if isinstance(x, Public):
        return x.values
    if isinstance(x, Scaled):
        return Fixed(await k.share(OWNER, x.values.shape, encode(x.values, x.bits) if mine else None), x.bits)
    array = np.asarray(x)
    if array.dtype.kind == "f":
        return Fixed(await k.share(OWNER, array.shape, encode(array, bits) if mine else None), bits)
    ring = array.astype(np.int64).view(np.uint64) if mine else None
    share = await k.share(OWNER, array.shape, ring)
    if array.dtype.kind == "b":
        return Boolean(k.rearrange(lambda b: b[..., 0], await k.decompose(share, 1)))
    return Integer(share)


async def reveal_all(
    k: Kernel, result: Any, to: Sequence[str], notes: dict[str, Any], driver: Driver, counter: Any
) -> Any:
    """Plain results of one value or a tuple of them; notes what was counted before the reveal."""
    notes["after"] = driver.profile.rounds
    notes["tally"] = dict(getattr(counter, "tally", {}))
    if isinstance(result, tuple):
        return tuple([await reveal(k, value, to) for value in result])
    return await reveal(k, result, to)


async def reveal(k: Kernel, value: Any, to: Sequence[str]) -> Any:
    if isinstance(value, Boolean):
        return await k.reveal_bits(value.share, to)
    if isinstance(value, np.ndarray):
        return value
    ring = await k.reveal(value.share, to)
    if ring is None:
        return None
    ring = np.asarray(ring, order="C")
    return decode(ring, value.bits) if isinstance(value, Fixed) else ring.view(np.int64).reshape(value.shape)


def equal(actual: Any, expected: Any) -> None:
    """Assert the same shape and the same values."""
    assert np.shape(actual) == np.shape(expected)
    np.testing.assert_array_equal(actual, expected)


WORLDS: tuple[World, ...] = (IdealWorld("floor"), IdealWorld("noisy"))
