"""The door to gmpy2: primes, inverses and greatest common divisors of large integers. It is the optional extra `he`.

Nothing here is constant-time. What touches a secret is named where it is called: key generation, which happens once
and alone, and the inverses that a key derives from its primes.
"""

from __future__ import annotations

import secrets
from functools import cache
from importlib import import_module
from typing import Any

from tacit.foundation.errors import MissingExtra

EXTRA = "he"


@cache
def gmpy2() -> Any:
    """The module, or how to install it."""
    try:
        return import_module("gmpy2")
    except ImportError:
        raise MissingExtra("gmpy2", EXTRA) from None


def inverse(value: int, modulus: int) -> int:
    """1 / value modulo `modulus`; ZeroDivisionError where there is none."""
    return int(gmpy2().invert(value, modulus))


def gcd(a: int, b: int) -> int:
    """The greatest common divisor."""
    return int(gmpy2().gcd(a, b))


def is_prime(value: int) -> bool:
    """Baillie-PSW and further Miller-Rabin rounds: for numbers of the caller's own making."""
    return bool(gmpy2().is_prime(value, 40))


def random_prime(bits: int, residue: int = 3, modulus: int = 4) -> int:
    """A prime of exactly `bits` bits whose two top bits are set, `residue` modulo `modulus`, uniform among those.

    Every candidate is drawn afresh from the operating system, so that no prime is likelier for the gap before it.
    """
    while True:
        candidate = secrets.randbits(bits) | (3 << (bits - 2))
        candidate += (residue - candidate) % modulus
        if candidate.bit_length() == bits and is_prime(candidate):
            return candidate


def is_power(value: int) -> bool:
    """Whether the value is a perfect power."""
    return bool(gmpy2().is_power(value))


def jacobi(a: int, n: int) -> int:
    """The Jacobi symbol (a / n), n odd."""
    return int(gmpy2().jacobi(a, n))
