"""Paillier encryption with short exponents and fixed-base tables, decrypted modulo the two primes.

Source: Paillier 1999; Damgaard, Jurik and Nielsen, "A generalization of Paillier's public-key system with applications
to electronic voting", 2010 (DJN); Goldreich and Rosen, "On the security of modular exponentiation", 2003.

    n = p q, p = q = 3 mod 4, gcd(p - 1, q - 1) = 2;  h = -x**2 mod n, x uniform;  H = h**n mod n**2
    encrypt(m) = (1 + m n) H**r mod n**2, r uniform on [0, 2**(ceil(bits / 2)))

Threat model: whoever lacks the primes, chooses plaintexts and sees any number of ciphertexts. Semantically secure under
two assumptions about n: decisional composite residuosity, and that powers of H with an exponent of half the bits of n
(1024 or 1536) look like powers with a full one. DJN propose that size; Goldreich and Rosen derive such a statement from
the hardness of factoring for random squares modulo n, and we take it over to H without a proof. Against generic attacks
(collisions, 2**(half the exponent's bits) steps) 256 bits would do; shorter exponents, as some libraries use for speed,
rest on a stronger assumption and are not offered. Not secure against chosen ciphertexts: whoever may ask for decryptions
of ciphertexts of his own making must be prevented from it by the protocol above.

Timing: encryption draws r and reads its tables in constant time. Decryption raises to p - 1 and q - 1 in our
constant-time kernel; the few operations after it (a division by p, the Chinese remainder step) are Python's integers
and take time that depends on the plaintext. Key generation is not constant-time.
Costs: a ciphertext is 2 bits / 8 bytes on the wire; the table for a key of 2048 bits takes 4.2 MiB, of 3072 bits 9.5.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any, final

from typing_extensions import override

from tacit.foundation.errors import CiphertextOverflow, InputError, KeyRefused
from tacit.primitive.he.bignum import gcd, inverse, is_power, is_prime, jacobi, random_prime
from tacit.primitive.he.modular import FixedBase, Residues, Rows
from tacit.primitive.he.multiplicative import MultiplicativePublicKey, fingerprint, random_exponents
from tacit.primitive.he.scheme import AdditiveSecretKey

KEY_BITS = (2048, 3072)
_SMALL = 1 << 12  # primes below it divide no honest modulus


@final
class PaillierPublicKey(MultiplicativePublicKey):
    """n and h, checked. Plaintexts lie in [-(n - 1) / 2, (n - 1) / 2].

    Raises: KeyRefused where n is not of 2048 or 3072 bits, is even, prime, a perfect power, has a prime factor below
    4096 or is not 1 mod 4, or where h is no unit of Jacobi symbol 1. That n has exactly two prime factors cannot be
    seen without them; a key holder who lies about it endangers only plaintexts that he can decrypt anyway.
    """

    scheme = "paillier"

    def __init__(self, n: int, h: int) -> None:
        _check(n, h)
        self.n = n
        self.h = h
        self.bits = n.bit_length()
        self.capacity = (n - 1) // 2
        self.residues = Residues(n, squared=True)
        self.width, self.octets = self.residues.width, self.residues.octets
        self.fingerprint = fingerprint(self.facts())

    @override
    def facts(self) -> dict[str, str | int]:
        return {"scheme": self.scheme, "bits": self.bits, "n": f"{self.n:x}", "h": f"{self.h:x}"}

    @override
    def encrypt(self, plain: Sequence[int]) -> Rows:
        return self.residues.multiply(self.zeros(len(plain)), self.trivial(plain))

    @override
    def trivial(self, plain: Sequence[int]) -> Rows:
        for value in plain:
            if not -self.capacity <= value <= self.capacity:
                raise CiphertextOverflow(
                    f"a plaintext does not fit this key's {self.capacity.bit_length()} bits",
                    bound=self.capacity + 1,
                    limit=self.capacity,
                )
        return self.residues.enter([1 + int(value) % self.n * self.n for value in plain])

    @override
    def zeros(self, count: int) -> Rows:
        return self._table.powers(random_exponents(count, self._table))

    @cached_property
    def _table(self) -> FixedBase:
        squared = self.n**2
        return FixedBase(self.residues, pow(self.h, self.n, squared), -(-self.bits // 2))


@final
class PaillierSecretKey(AdditiveSecretKey):
    """The primes p and q of a public key, and what decryption derives from them."""

    def __init__(self, p: int, q: int, public: PaillierPublicKey) -> None:
        if p * q != public.n:
            raise InputError("these primes do not belong to this public key")
        self.public: PaillierPublicKey = public
        self._p, self._q = p, q
        self._sides = tuple(
            (prime, Residues(prime, squared=True), inverse(-other, prime)) for prime, other in ((p, q), (q, p))
        )
        self._q_inverse = inverse(q, p)

    @override
    def decrypt(self, rows: Rows) -> list[int]:
        octets = self.public.to_wire(rows)
        modulo_p, modulo_q = (
            [
                (power - 1) // prime * factor % prime
                for power in residues.leave(
                    residues.powers(residues.enter_octets(octets), [prime - 1], prime.bit_length())
                )
            ]
            for prime, residues, factor in self._sides
        )
        n, half, p, q, q_inverse = self.public.n, self.public.capacity, self._p, self._q, self._q_inverse
        out = []
        for at_p, at_q in zip(modulo_p, modulo_q, strict=True):
            value = at_q + (at_p - at_q) * q_inverse % p * q
            out.append(value - n if value > half else value)
        return out


def generate_paillier(bits: int = 2048) -> PaillierSecretKey:
    """A fresh key of 2048 or 3072 bits from the operating system's entropy; its public part is `.public`.

    The primes are 3 mod 4 with gcd(p - 1, q - 1) = 2, as DJN need for -x**2 to generate all that encryption draws on,
    and differ by more than 2**(bits / 2 - 100), against Fermat's factoring. Raises: MissingExtra without gmpy2.
    """
    if bits not in KEY_BITS:
        raise InputError(f"a Paillier key has {' or '.join(map(str, KEY_BITS))} bits, not {bits}")
    while True:
        p, q = random_prime(bits // 2), random_prime(bits // 2)
        if abs(p - q) >> (bits // 2 - 100) and gcd(p - 1, q - 1) == 2 and gcd(p * q, (p - 1) * (q - 1)) == 1:
            break
    n = p * q
    while gcd(x := 1 + secrets.randbelow(n - 1), n) != 1:
        pass
    return PaillierSecretKey(p, q, PaillierPublicKey(n, -x * x % n))


def paillier_from_facts(facts: dict[str, Any]) -> PaillierPublicKey:
    """The public key that facts() described; KeyRefused where it is malformed."""
    return PaillierPublicKey(hexadecimal(facts, "n"), hexadecimal(facts, "h"))


def hexadecimal(facts: dict[str, Any], name: str) -> int:
    """A non-negative number of at most 6144 bits."""
    text = facts.get(name)
    if not isinstance(text, str) or not 0 < len(text) <= 1536 or not set(text) <= set("0123456789abcdef"):
        raise KeyRefused(f"{name!r} of a public key must be up to 1536 lower-case hexadecimal digits")
    return int(text, 16)


def check_modulus(n: int, sizes: Sequence[int]) -> None:
    """Cheap checks that n can be a product of large primes; KeyRefused otherwise."""
    if n.bit_length() not in sizes:
        raise KeyRefused(f"the modulus has {n.bit_length()} bits; {' or '.join(map(str, sizes))} are accepted")
    if gcd(n, _primorial()) != 1:
        raise KeyRefused(f"the modulus has a prime factor below {_SMALL}")
    if is_prime(n):
        raise KeyRefused("the modulus is a prime")
    if is_power(n):
        raise KeyRefused("the modulus is a perfect power")


def _check(n: int, h: int) -> None:
    check_modulus(n, KEY_BITS)
    if n % 4 != 1:
        raise KeyRefused("the modulus is not 1 mod 4, as the product of two primes that are 3 mod 4 is")
    if not 1 < h < n - 1 or gcd(h, n) != 1 or jacobi(h, n) != 1:
        raise KeyRefused("h is no unit of Jacobi symbol 1 modulo n, so it is not -x**2")


@cache
def _primorial() -> int:
    out = 1
    for candidate in range(2, _SMALL):
        if is_prime(candidate):
            out *= candidate
    return out
