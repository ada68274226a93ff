"""Showing CKKS results to others: noise that drowns the encryption's own, or a refusal.

A CKKS decryption is the result plus the encryption noise. Whoever has the ciphertext and its exact decryption, noise
included, has a linear equation for the secret key. So before a decryption is shown, noise is added that makes what is
shown (almost) independent of the encryption noise.

Source: Li and Micciancio, "On the security of homomorphic encryption on approximate numbers", 2021; Li, Micciancio, Schultz
and Sorrell, "Securing approximate homomorphic encryption using differential privacy", 2022.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ConfigError, PolicyError
from tacit.primitive.he.packed.array import PackedArray, decrypt
from tacit.primitive.he.packed.context import SecretContext


@final
@dataclass(frozen=True)
class Flooding:
    """How much noise: what is shown differs from what exact numbers would give with advantage below 2**-bits.

    numbers: how many numbers, over all decryptions under this key, are shown at most; the advantage counts all of them.
    Each number then differs from the decryption by up to error * numbers * 2**bits, uniformly; `loss_bits` is how many
    bits of its precision that takes.
    """

    bits: int = 30
    numbers: int = 2**12

    def __post_init__(self) -> None:
        if type(self.bits) is not int or type(self.numbers) is not int or not 1 <= self.bits <= 128 or self.numbers < 1:
            raise ConfigError("flooding takes between 1 and 128 bits, and at least one number, both as integers")

    @property
    def loss_bits(self) -> float:
        """Bits of precision that it costs beside the encryption's own error."""
        return self.bits + math.log2(self.numbers)


def decrypt_to_share(
    secret: SecretContext, array: PackedArray, flooding: Flooding | None, *, error: float = math.inf
) -> tuple[NDArray[Any], float]:
    """Numbers that may be shown to others, and the largest error they have now.

    Computes: decrypted numbers on a grid, plus an integer uniform in [-b, b] grid steps from the system's entropy, with
              b = error / step * numbers * 2**bits. By the smudging lemma, showing all `numbers` of them is within
              statistical distance 2**-bits of showing exact results, so long as the noise keeps to its bounds.
              BFV is exact: its numbers are returned as they are.
    Reveals:  the numbers, to whom they are shown; nothing of the secret key but with probability 2**-bits.
    Error:    error * (numbers * 2**bits + 2), the second value returned; 0 for BFV.
    Raises:   PolicyError for CKKS without flooding, or where the error would exceed `error`. The way out then is a larger
              scale_bits (bit for bit), fewer numbers or bits, or BFV.
    Limits:   assumes ciphertexts made by following the protocol: an evaluator who makes noise larger than its declared
              bounds breaks the argument. Count the numbers that you show; this function cannot know of its other calls.
    """
    if array.dtype == np.int64:
        return decrypt(secret, array), 0.0
    if flooding is None:
        raise PolicyError(
            "a CKKS decryption that others see gives away the secret key. Pass a Flooding, or compute with BFV."
        )
    if array.size > flooding.numbers:
        raise PolicyError(
            f"the flooding is for {flooding.numbers} numbers in all, and this array alone has {array.size}"
        )
    step = 2.0 ** (math.floor(math.log2(array.error)) - 8)
    spread = math.ceil(array.error / step + 1) * flooding.numbers << flooding.bits
    reached = array.error + step * (spread + 1)
    if reached > error:
        raise PolicyError(
            f"flooding by {flooding.bits} bits for {flooding.numbers} numbers makes the error {reached:.3g}, and {error:.3g} is "
            f"allowed. Take {math.ceil(math.log2(reached / error))} more scale_bits, flood less, or compute with BFV."
        )
    exact = decrypt(secret, array)
    steps = [round(value / step) + _uniform(spread) for value in exact.reshape(-1).tolist()]
    return np.array([value * step for value in steps]).reshape(array.shape), reached


def _uniform(most: int) -> int:
    """An integer uniform in [-most, most], by rejection."""
    width = 2 * most + 1
    size = (width.bit_length() + 7) // 8
    limit = (1 << 8 * size) // width * width
    while (drawn := int.from_bytes(os.urandom(size), "little")) >= limit:
        pass
    return drawn % width - most
