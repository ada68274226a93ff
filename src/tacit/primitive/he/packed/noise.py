"""Bounds of the noise in a ciphertext, as the largest magnitude its polynomial takes at any slot.

A polynomial of the ring is seen through its slots: its values at the complex roots of X**N + 1. Slots of a sum are sums
and slots of a product are products, so bounds compose by adding and multiplying, and no coefficient exceeds the largest
slot. Polynomials whose coefficients are drawn at random have slots that are close to complex Gaussian: |slot| exceeds
TAIL standard deviations with probability exp(-TAIL**2), below 2**-60; for all slots of all ciphertexts of a computation
of a million operations in degree 32768 together, below 2**-24. Encryption noise and keys are random by construction;
rounding errors are as long as ciphertexts look random, which is what their secrecy says. A peer who makes ciphertexts
by other means than encryption can break these bounds, and gains wrong results by it.

Source: Gentry, Halevi and Smart, "Homomorphic evaluation of the AES circuit", 2012, appendix A; Costache, Laine and
Player, "Evaluating the effectiveness of heuristic worst-case noise analysis in FHE", 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

TAIL = 6.5
DEVIATION = 3.25  # of SEAL's noise, a centred binomial of 42 coins


@final
@dataclass(frozen=True)
class RingNoise:
    """Slot bounds in the ring of one degree; `last` is the prime that switches keys."""

    degree: int
    last: float

    @property
    def secret(self) -> float:
        """The secret key, and what masks an encryption: coefficients uniform in {-1, 0, 1}."""
        return TAIL * math.sqrt(2 * self.degree / 3)

    def spread(self, width: float) -> float:
        """Coefficients uniform on an interval of this width around 0."""
        return TAIL * width * math.sqrt(self.degree / 12)

    @property
    def rounding(self) -> float:
        """What rounding both polynomials of a ciphertext to integers adds to its decryption."""
        return self.spread(1) * (1 + self.secret)

    @property
    def worst_rounding(self) -> float:
        """What rounding a plaintext's coefficients adds, whatever they are."""
        return self.degree / 2

    @property
    def error(self) -> float:
        """One polynomial of SEAL's noise."""
        return TAIL * DEVIATION * math.sqrt(self.degree)

    def fresh(self, above: float) -> float:
        """An encryption of zero: made under one prime `above` more, and then divided by it."""
        return self.error * (1 + 2 * self.secret) / above + self.rounding

    def switch(self, primes: Sequence[int]) -> float:
        """Relinearisation or rotation of a ciphertext modulo these primes.

        Its digits are residues in [0, q): centred ones, and q / 2 in every coefficient, whose slots reach N q / pi.
        """
        digits = sum(self.spread(prime) + prime * self.degree / math.pi for prime in primes)
        return digits * self.error / self.last + self.rounding
