"""Secret uniform numbers from words that parties draw privately, and their comparison with public thresholds.

Each of m >= 2 parties draws a_j uniformly from [0, M) with the operating system's entropy and shares it as any private
input. The sum s = a_1 + ... + a_m modulo M is uniform given all words but one, so whoever misses one word knows nothing of
it: no compute party misses fewer than m - 1, and a helper, which deals masks, never sees a masked value. (It is the XOR
of private bits, in another group; a party that draws its words badly, but in range, hurts nobody while another draws well.)

The reduction modulo M is never computed. [s mod M < t] is the XOR of [s < j M + t] over j < m and of [s < j M] over
0 < j < m: comparisons of one shared value with public numbers, which protocols make side by side on one opening. Where
inputs arrive opened under their owners' masks, as in `Assisted`, even that opening is free.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from tacit.foundation.errors import ConfigError, DomainError, ShapeError
from tacit.primitive.driver import gather
from tacit.primitive.mpc.kernel import VALUE_BITS, Arith, Bits, Kernel, Ring, Shape
from tacit.primitive.mpc.value import Integer

MOST_PARTIES = 16


def span(parties: int) -> int:
    """M: the largest power of two such that the words of so many parties, each below it, sum to less than 2**62."""
    if not 2 <= parties <= MOST_PARTIES:
        raise ConfigError(
            f"noise needs the words of 2 to {MOST_PARTIES} parties, not {parties}: one party alone would know it"
        )
    return 1 << (VALUE_BITS - (parties - 1).bit_length())


def private_words(shape: Shape, parties: int) -> Ring:
    """One party's words: uniform on [0, span(parties)), from the operating system, to be shared once and forgotten."""
    count = int(np.prod(shape, dtype=np.int64))
    words = np.frombuffer(os.urandom(8 * count), np.uint64) & np.uint64(span(parties) - 1)
    return words.reshape(shape)


async def share_words(k: Kernel, owners: Sequence[str], me: str, shape: Shape) -> tuple[Integer, ...]:
    """Fresh words of every owner, shared: what samplers take. `me` is the party that runs this.

    Reveals: nothing. Costs: one `share` per owner, side by side: 1 round, 8 bytes per word from each owner.
    Errors: ConfigError for fewer than two owners, or one named twice.
    """
    if len(set(owners)) != len(owners):
        raise ConfigError(f"each owner of words is named once, not {list(owners)}")
    span(len(owners))
    shares = await gather(
        *[k.share(owner, shape, private_words(shape, len(owners)) if owner == me else None) for owner in owners]
    )
    return tuple(Integer(share) for share in shares)


def summed(k: Kernel, words: Sequence[Integer], count: int) -> Arith:
    """s = the sum of the parties' words, [count, ...]. Local."""
    span(len(words))
    shape = words[0].shape
    if any(word.shape != shape for word in words) or not shape or shape[0] != count:
        raise ShapeError(
            f"this noise takes words of shape ({count}, ...) from each party, not {[word.shape for word in words]}"
        )
    return reduce(k.add, [word.share for word in words])


async def below(k: Kernel, total: Arith, parties: int, thresholds: Ring) -> Bits:
    """[s mod M < t], for thresholds in [0, M) that broadcast against s.

    Reveals: nothing. Costs: 2 m - 1 `negative`s for m parties, side by side on one opening.
    """
    modulus = span(parties)
    if thresholds.size and int(thresholds.max()) >= modulus:
        raise DomainError(f"a threshold is not below the span {modulus}")
    edges: list[Any] = [thresholds + np.uint64(j * modulus) for j in range(parties)]
    edges += [np.broadcast_to(np.uint64(j * modulus), thresholds.shape) for j in range(1, parties)]
    bits = await gather(*[k.negative(k.add_public(total, np.negative(edge))) for edge in edges])
    return reduce(k.xor, bits)


async def reduced(k: Kernel, total: Arith, parties: int) -> Arith:
    """s mod M as a shared number: s less M for each multiple of M that it reaches.

    Reveals: nothing. Costs: m - 1 `negative`s, then as many `lift`s, side by side.
    """
    modulus = span(parties)
    edges = [np.asarray(np.uint64(2**64 - j * modulus)) for j in range(1, parties)]
    short = await gather(*[k.negative(k.add_public(total, edge)) for edge in edges])
    lifted = await gather(*[k.lift(bit) for bit in short])
    missing = reduce(k.add, lifted)  # of the m - 1 multiples, those that s does not reach
    whole = k.add_public(total, np.asarray(np.uint64(2**64 - (parties - 1) * modulus)))
    return k.add(whole, k.scale(missing, np.asarray(np.uint64(modulus))))
