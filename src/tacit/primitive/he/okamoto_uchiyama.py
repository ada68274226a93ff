"""Okamoto-Uchiyama encryption: half the bytes of Paillier, and a secret key that one visible decryption gives away.

Source: Okamoto and Uchiyama 1998.

    n = p**2 q;  g uniform modulo n with g**(p - 1) != 1 mod p**2;  h = g**n mod n
    encrypt(m) = g**m h**r mod n, r uniform on [0, 2**bits);  decrypt modulo p**2, m below p

Threat model: semantically secure against whoever sees ciphertexts and nothing that depends on their decryption, under
the p-subgroup assumption for n. KEY RECOVERY: whoever encrypts an m above p of his choice and learns the decryption m'
holds p = gcd(m - m', n), and with it the secret key. So an evaluator who sees decryptions, or anything computed from
them that tells m' from m (a sum, a model, an error), recovers the key. The scheme is refused unless the caller states
that decryptions stay hidden; use Paillier everywhere else.

Timing: exponents of both bases are constant-time, and so is the power in decryption; the division by p after it is not.
Costs: a ciphertext is bits / 8 bytes on the wire.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from enum import Enum
from functools import cached_property
from typing import Any, final

from typing_extensions import override

from tacit.foundation.errors import CiphertextOverflow, InputError, KeyRefused, PolicyError
from tacit.primitive.he.bignum import gcd, inverse, random_prime
from tacit.primitive.he.modular import FixedBase, Residues, Rows, to_words
from tacit.primitive.he.multiplicative import MultiplicativePublicKey, fingerprint, random_exponents
from tacit.primitive.he.paillier import check_modulus, hexadecimal
from tacit.primitive.he.scheme import AdditiveSecretKey

KEY_BITS = (2048, 3072)


class Decryptions(Enum):
    """What becomes of decrypted values. Only the first lets Okamoto-Uchiyama be used."""

    STAY_HIDDEN = "stay hidden"  # only the key holder learns them, and nothing that depends on them leaves him
    VISIBLE = "visible"  # an evaluator may learn them, or something computed from them


@final
class OkamotoUchiyamaPublicKey(MultiplicativePublicKey):
    """n, g and h, checked. Plaintexts have a magnitude below 2**(floor(bits / 3) - 2).

    decryptions: how they are used, a required statement. Raises: PolicyError unless Decryptions.STAY_HIDDEN;
    KeyRefused where n is not of 2048 or 3072 bits, is even, prime, a perfect power or has a prime factor below 4096,
    or g or h is no unit.
    """

    scheme = "okamoto-uchiyama"

    def __init__(self, n: int, g: int, h: int, *, decryptions: Decryptions) -> None:
        _require_hidden(decryptions)
        check_modulus(n, KEY_BITS)
        if not (1 < g < n and 1 < h < n and gcd(g * h, n) == 1):
            raise KeyRefused("g or h is no unit other than 1 modulo n")
        self.n, self.g, self.h = n, g, h
        self.bits = n.bit_length()
        self._offset = 1 << (self.bits // 3 - 2)
        self.capacity = self._offset - 1
        self.residues = Residues(n)
        self.width, self.octets = self.residues.width, self.residues.octets
        self.fingerprint = fingerprint(self.facts())

    @override
    def facts(self) -> dict[str, str | int]:
        return {
            "scheme": self.scheme,
            "bits": self.bits,
            "n": f"{self.n:x}",
            "g": f"{self.g:x}",
            "h": f"{self.h:x}",
            "decryptions": Decryptions.STAY_HIDDEN.value,
        }

    @override
    def encrypt(self, plain: Sequence[int]) -> Rows:
        return self.residues.multiply(self.zeros(len(plain)), self.trivial(plain))

    @override
    def trivial(self, plain: Sequence[int]) -> Rows:
        """g**(m + offset) g**(-offset): the exponent is never negative, so that the sign does not show in time."""
        for value in plain:
            if not -self.capacity <= value <= self.capacity:
                raise CiphertextOverflow(
                    f"a plaintext does not fit this key's {self.capacity.bit_length()} bits",
                    bound=self.capacity + 1,
                    limit=self.capacity,
                )
        table, back = self._message_table
        shifted = table.powers(to_words([int(value) + self._offset for value in plain], table.bits))
        return self.residues.multiply(shifted, back)

    @override
    def zeros(self, count: int) -> Rows:
        return self._table.powers(random_exponents(count, self._table))

    @cached_property
    def _table(self) -> FixedBase:
        return FixedBase(self.residues, self.h, self.bits)

    @cached_property
    def _message_table(self) -> tuple[FixedBase, Rows]:
        back = inverse(pow(self.g, self._offset, self.n), self.n)
        return FixedBase(self.residues, self.g, self._offset.bit_length()), self.residues.enter([back])


@final
class OkamotoUchiyamaSecretKey(AdditiveSecretKey):
    """The prime p of a public key, and what decryption derives from it."""

    def __init__(self, p: int, public: OkamotoUchiyamaPublicKey) -> None:
        if public.n % p**2 != 0:
            raise InputError("this prime does not belong to this public key")
        self.public: OkamotoUchiyamaPublicKey = public
        self._p = p
        self._residues = Residues(p, squared=True)
        power = self._residues.powers(self._residues.enter([public.g % p**2]), [p - 1], p.bit_length())
        self._factor = inverse((self._residues.leave(power)[0] - 1) // p, p)

    @override
    def decrypt(self, rows: Rows) -> list[int]:
        p, residues = self._p, self._residues
        powers = residues.powers(residues.enter_octets(self.public.to_wire(rows)), [p - 1], p.bit_length())
        values = [(power - 1) // p * self._factor % p for power in residues.leave(powers)]
        out = [value - p if value > p // 2 else value for value in values]
        if any(abs(value) > self.public.capacity for value in out):
            raise CiphertextOverflow(
                "a decrypted value lies outside the range of plaintexts: more was added up than its bound says",
                bound=self.public.capacity + 1,
                limit=self.public.capacity,
            )
        return out


def generate_okamoto_uchiyama(bits: int = 2048, *, decryptions: Decryptions) -> OkamotoUchiyamaSecretKey:
    """A fresh key from the operating system's entropy. Raises: PolicyError unless Decryptions.STAY_HIDDEN."""
    _require_hidden(decryptions)
    if bits not in KEY_BITS:
        raise InputError(f"an Okamoto-Uchiyama key has {' or '.join(map(str, KEY_BITS))} bits, not {bits}")
    size = bits // 3
    while True:
        p, q = random_prime(size), random_prime(bits - 2 * size)
        n = p * p * q
        if n.bit_length() == bits and p != q and gcd(p * q, (p - 1) * (q - 1)) == 1:
            break
    while True:
        g = 2 + secrets.randbelow(n - 2)
        if gcd(g, n) == 1 and pow(g, p - 1, p * p) != 1:
            return OkamotoUchiyamaSecretKey(p, OkamotoUchiyamaPublicKey(n, g, pow(g, n, n), decryptions=decryptions))


def okamoto_uchiyama_from_facts(facts: dict[str, Any], *, decryptions: Decryptions) -> OkamotoUchiyamaPublicKey:
    """The public key that facts() described; KeyRefused where it is malformed."""
    n, g, h = (hexadecimal(facts, name) for name in ("n", "g", "h"))
    return OkamotoUchiyamaPublicKey(n, g, h, decryptions=decryptions)


def _require_hidden(decryptions: Decryptions) -> None:
    if decryptions is not Decryptions.STAY_HIDDEN:
        raise PolicyError(
            "Okamoto-Uchiyama gives its secret key to whoever learns the decryption of one chosen ciphertext. Use "
            "Paillier, or state decryptions=Decryptions.STAY_HIDDEN where nothing that depends on them leaves the key holder."
        )
