"""Between secret sharing and two parties' own arrays: what the conversions to and from other devices are made of.

A secret x modulo 2^64 is parted into -r, which one party drew, and x + r, which is opened to another: either alone is
uniformly random, and together they are x. Uniting is the reverse. Both work over every protocol.

Threat model: that of the protocol; the two parties must not collude. Leakage: none.
Costs: parting 2 rounds (sharing r, opening x + r), uniting 1, 8 bytes per element and sharing.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from tacit.foundation.errors import DomainError
from tacit.primitive.driver import gather
from tacit.primitive.mpc.kernel import Kernel, Ring, Shape
from tacit.schedule.procedure import Facts, PartyView, procedure


async def part_secret(kernel: Kernel, me: str, share: Any, masker: str, other: str) -> Ring | None:
    """This party's part of a shared ring array; None at parties that get none."""
    shape: Shape = share.shape
    mask = np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape, dtype=np.int64))), np.uint64).reshape(shape)
    shared = await kernel.share(masker, shape, mask if me == masker else None)
    opened = await kernel.reveal(kernel.add(share, shared), [other])
    if me == masker:
        return np.asarray(np.negative(mask))
    return opened if me == other else None


async def unite_secret(
    kernel: Kernel, me: str, owners: Sequence[str], mine: Ring | None, shape: Shape, surplus: int
) -> Any:
    """A shared ring array from parts that are parties' own. surplus: fraction bits to cut off (or to add, if negative).

    Error: of cutting off, that of the protocol's truncation.
    """
    rings = [mine if me == owner else None for owner in owners]
    parts = await gather(*[kernel.share(owner, shape, ring) for owner, ring in zip(owners, rings, strict=True)])
    total = parts[0]
    for part in parts[1:]:
        total = kernel.add(total, part)
    if surplus > 0:
        return await kernel.truncate(total, surplus)
    return kernel.scale(total, np.full((), 1 << -surplus, np.uint64)) if surplus < 0 else total


@procedure("ring.random")
def random_part(view: PartyView, shape: Sequence[int]) -> tuple[Sequence[Any], Facts]:  # noqa: ARG001
    """Uniformly random ring elements of this party's own."""
    size = int(np.prod(shape, dtype=np.int64))
    return [np.frombuffer(secrets.token_bytes(8 * size), np.uint64).reshape(tuple(shape))], {}


@procedure("ring.check")
def check_part(view: PartyView) -> tuple[Sequence[Any], Facts]:
    """Refuse parts of values that do not fit the ring: an enclave said so."""
    if not bool(view.inputs[0]):
        raise DomainError(
            "a value from the enclave is not finite, or too large for the shared representation. Scale it."
        )
    return [], {}
