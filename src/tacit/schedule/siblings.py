"""What the processes of one party hand each other: plain arrays, and their party's shares as they are.

Nothing that is handed leaves the party: siblings hold the same party's values, over links that only they are part of, as
well protected as those between parties. Shares are copied, not made: a party's share in one lane is its share in another, in
the same role of the same protocol, so the parties' shares still add up to the value there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from tacit.foundation.errors import InputError
from tacit.primitive.driver import Driver
from tacit.primitive.local import encode
from tacit.primitive.mpc.kernel import Kernel, Ring, Shape
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Value
from tacit.primitive.profile import Where
from tacit.schedule.control import DTYPES

PATIENCE_SECONDS = 3600.0
"""How long a process waits for a sibling that is busy with a program. One that died is noticed at once."""


@final
@dataclass(frozen=True, slots=True)
class Handed:
    """What is known of a value that is handed: its number here, its shape, and what it is.

    what: the dtype of a plain array, or "fixed" or "int" for a share.
    """

    id: int
    shape: Shape
    what: str

    @classmethod
    def of(cls, described: Sequence[Any]) -> Handed:
        """From the session's words. Raises InputError for what cannot be handed."""
        id, shape, what = described
        if what not in DTYPES and what not in ("fixed", "int"):
            raise InputError(f"a value of kind {what!r} is not handed between the processes of a party")
        return cls(int(id), tuple(map(int, shape)), what)


def give(driver: Driver, receiver: str, values: Sequence[tuple[Handed, Any]], kernel: Kernel | None, bits: int) -> None:
    """Send values of this process to a sibling. Costs: 8 bytes per element and array of a share."""
    arrays = [array for handed, value in values for array in _arrays(handed, value, kernel, bits)]
    _exchange(driver, [(receiver, _flat(array)) for array in arrays if array.size], [])


def take(driver: Driver, sender: str, values: Sequence[Handed], kernel: Kernel | None, bits: int) -> list[Any]:
    """Receive what a sibling gives, as values of this process."""
    empty = [[np.empty(handed.shape, dtype) for dtype in _dtypes(handed, kernel)] for handed in values]
    _exchange(driver, [], [(sender, _flat(array)) for arrays in empty for array in arrays if array.size])
    return [_value(handed, arrays, kernel, bits) for handed, arrays in zip(values, empty, strict=True)]


def _exchange(driver: Driver, sends: list[tuple[str, Any]], receives: list[tuple[str, Any]]) -> None:
    if not sends and not receives:
        return  # a helper holds no share

    async def body() -> None:
        await driver.exchange(sends, receives)

    with driver.detour():
        driver.run(body(), Where(0, "hand"))


def _arrays(handed: Handed, value: Any, kernel: Kernel | None, bits: int) -> list[np.ndarray]:
    if handed.what in DTYPES:
        array = np.ascontiguousarray(value)
        if (array.shape, array.dtype.str) != (handed.shape, handed.what):
            raise InputError(f"value {handed.id} is {array.dtype}{list(array.shape)}, not {handed.what} {handed.shape}")
        return [array]
    assert kernel is not None
    share = _share(kernel, value, handed, bits)
    return [np.ascontiguousarray(array) for array in kernel.dump(share)]


def _share(kernel: Kernel, value: Value, handed: Handed, bits: int) -> Any:
    """The share behind a value; that of a public result is what the protocol embeds it as."""
    if isinstance(value, Boolean):
        raise InputError("truth values are shared by XOR and do not add. Convert them to integers first.")
    if isinstance(value, (Fixed, Integer)):
        found = "fixed" if isinstance(value, Fixed) else "int"
        if (found, value.shape) != (handed.what, handed.shape):
            raise InputError(f"value {handed.id} is {found}{list(value.shape)}, not {handed.what}{list(handed.shape)}")
        return value.share
    ring: Ring = encode(value, bits) if handed.what == "fixed" else value.astype(np.int64).view(np.uint64)
    return kernel.public(ring)


def _dtypes(handed: Handed, kernel: Kernel | None) -> list[str]:
    """The arrays a value travels as: as many as this party's shares have under this protocol."""
    if handed.what in DTYPES:
        return [handed.what]
    assert kernel is not None
    return ["<u8"] * len(kernel.dump(kernel.public(np.zeros(1, np.uint64))))


def _value(handed: Handed, arrays: list[np.ndarray], kernel: Kernel | None, bits: int) -> Any:
    if handed.what in DTYPES:
        return arrays[0]
    assert kernel is not None
    share = kernel.restore(handed.shape, arrays)
    return Fixed(share, bits) if handed.what == "fixed" else Integer(share)


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view(np.uint8)
