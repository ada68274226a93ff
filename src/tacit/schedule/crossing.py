"""How a party's values enter and leave a protocol: as ring elements of a kind, and back as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tacit.foundation.errors import InputError
from tacit.primitive.local import decode, encode
from tacit.primitive.mpc.kernel import Kernel, Ring
from tacit.primitive.mpc.value import Boolean, Fixed, Integer, Value
from tacit.schedule.private import add_noise


def encoded(values: np.ndarray, bits: int) -> tuple[Ring, str]:
    """A party's own array as ring elements, and their kind: fixed, int or bool. Raises InputError, FixedPointOverflow."""
    if values.dtype == np.bool_:
        return values.astype(np.uint64), "bool"
    if np.issubdtype(values.dtype, np.integer):
        if values.size and max(abs(int(values.max())), abs(int(values.min()))) >= 1 << 62:
            raise InputError(
                f"an integer of the input reaches {int(values.max())}; shared integers must stay below 2**62"
            )
        return values.astype(np.int64).view(np.uint64), "int"
    if np.issubdtype(values.dtype, np.floating):
        return encode(values, bits), "fixed"
    raise InputError(f"arrays of dtype {values.dtype} cannot be shared. Encode text or dates as numbers first.")


async def shared(
    kernel: Kernel, fraction_bits: int, owner: str, shape: tuple[int, ...], ring: Ring | None, kind: str
) -> Value:
    """Share the owner's ring elements; the secret value of that kind."""
    share = await kernel.share(owner, shape, ring)
    if kind == "bool":
        bits = await kernel.decompose(share, 1)
        return Boolean(kernel.rearrange(lambda a: a.reshape(a.shape[:-1]), bits))
    return Fixed(share, fraction_bits) if kind == "fixed" else Integer(share)


async def opened(
    kernel: Kernel, value: Value, to: list[str], me: str, noise: Mapping[str, Any] | None
) -> np.ndarray | None:
    """Open a value to the parties named, with noise if there is to be some; None at everybody else."""
    if noise:
        value = await add_noise(kernel, value, noise, me)
    if isinstance(value, np.ndarray):
        return value if me in to else None  # a result that no secret entered: every party knows it already
    if isinstance(value, Boolean):
        return await kernel.reveal_bits(value.share, to)
    ring = await kernel.reveal(value.share, to)
    if ring is None:
        return None
    return decode(ring, value.bits) if isinstance(value, Fixed) else ring.view(np.int64)


def dtype_of(value: Any) -> np.dtype[Any]:
    """The dtype of whatever a procedure made."""
    dtype: np.dtype[Any] = np.dtype(value.dtype) if hasattr(value, "dtype") else np.asarray(value).dtype
    return dtype


def kind_of(value: Value) -> str:
    """fixed, int, bool, or public where no secret entered."""
    return {Fixed: "fixed", Integer: "int", Boolean: "bool"}.get(type(value), "public")
