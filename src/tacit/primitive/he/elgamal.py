"""ElGamal in the exponent on Edwards25519: short ciphertexts of small integers.

Source: ElGamal 1985, with the message in the exponent; Shanks 1971 (baby steps, giant steps). Curve arithmetic is
libsodium's, through PyNaCl, in the subgroup of prime order L = 2**252 + ...; about 126 bits of security.

    secret x, public H = x G;  encrypt(m) = (r G, m G + r H), r uniform below L;  decrypt: find m with m G = C2 - x C1

Threat model: semantically secure under decisional Diffie-Hellman on the curve. A plaintext is found by search, so only
[-2**range_bits, 2**range_bits] decrypts, and anything else is refused.
Timing: libsodium's scalar multiplications are constant-time; the search takes time that depends on the plaintext, and
a factor of 0 in `scale` is seen.
Costs: 64 bytes per ciphertext, no packing; some 30 us for an addition and 170 for an encryption; a decryption takes up
to 2**(range_bits / 2) steps of 20 us, after as many for the table.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import cache, cached_property
from importlib import import_module
from itertools import pairwise
from typing import Any, final

import numpy as np
from typing_extensions import override

from tacit.foundation.errors import CiphertextOverflow, CiphertextRefused, InputError, KeyRefused, MissingExtra
from tacit.primitive.he.bignum import EXTRA
from tacit.primitive.he.modular import Index, Octets, Rows
from tacit.primitive.he.multiplicative import fingerprint
from tacit.primitive.he.scheme import AdditivePublicKey, AdditiveSecretKey

ORDER = 2**252 + 27742317777372353535851937790883648493
POINT = 32
IDENTITY = (1).to_bytes(POINT, "little")
MAX_RANGE_BITS = 40


@final
class ElGamalPublicKey(AdditivePublicKey):
    """H, a point of prime order. Raises: KeyRefused where it is none; InputError for a range above 40 bits."""

    scheme = "ec-elgamal"
    bits = 256
    width = 8
    octets = 64

    def __init__(self, point: bytes, *, range_bits: int = 24) -> None:
        if not 1 <= range_bits <= MAX_RANGE_BITS:
            raise InputError(f"range_bits must be between 1 and {MAX_RANGE_BITS}, not {range_bits}")
        if len(point) != POINT or not _sodium().crypto_core_ed25519_is_valid_point(point):
            raise KeyRefused("the public key is no point of prime order on Edwards25519")
        self.point = point
        self.range_bits = range_bits
        self.capacity = 1 << range_bits
        self.fingerprint = fingerprint(self.facts())

    def __repr__(self) -> str:
        return f"ElGamalPublicKey(range_bits={self.range_bits}, fingerprint={self.fingerprint[:16]})"

    @override
    def facts(self) -> dict[str, str | int]:
        return {"scheme": self.scheme, "bits": self.bits, "point": self.point.hex(), "range_bits": self.range_bits}

    @override
    def encrypt(self, plain: Sequence[int]) -> Rows:
        return self.randomise(self.trivial(plain))

    @override
    def trivial(self, plain: Sequence[int]) -> Rows:
        for value in plain:
            if not -self.capacity <= value <= self.capacity:
                raise CiphertextOverflow(
                    f"a plaintext does not fit this key's range of {self.range_bits} bits",
                    bound=self.capacity + 1,
                    limit=self.capacity,
                )
        return _rows([(IDENTITY, multiple_of_generator(int(value))) for value in plain])

    @override
    def randomise(self, rows: Rows) -> Rows:
        out = []
        for first, second in _pairs(rows):
            r = 1 + secrets.randbelow(ORDER - 1)
            out.append((_add(first, multiple_of_generator(r)), _add(second, _multiple(r, self.point))))
        return _rows(out)

    @override
    def add(self, a: Rows, b: Rows) -> Rows:
        if len(b) == 1:
            b = np.repeat(b, len(a), axis=0)
        return _rows([(_add(p, r), _add(q, s)) for (p, q), (r, s) in zip(_pairs(a), _pairs(b), strict=True)])

    @override
    def negate(self, a: Rows) -> Rows:
        return _rows([(_subtract(IDENTITY, p), _subtract(IDENTITY, q)) for p, q in _pairs(a)])

    @override
    def scale(self, a: Rows, factors: Sequence[int]) -> Rows:
        each = list(factors) * len(a) if len(factors) == 1 else list(factors)
        return _rows([(_multiple(k, p), _multiple(k, q)) for (p, q), k in zip(_pairs(a), each, strict=True)])

    @override
    def sums(self, a: Rows, index: Index, starts: Index) -> Rows:
        pairs = _pairs(a)
        out = []
        for begin, end in pairwise(starts.tolist()):
            first = second = IDENTITY
            for j in index[begin:end]:
                first, second = _add(first, pairs[j][0]), _add(second, pairs[j][1])
            out.append((first, second))
        return _rows(out)

    @override
    def matmul(self, a: Rows, factors: Sequence[Sequence[int]]) -> Rows:
        k, n = len(factors), len(factors[0])
        m = len(a) // k
        terms = np.concatenate(
            [self.scale(a[np.arange(m) * k + j], [factors[j][c]]) for j in range(k) for c in range(n)]
        )
        index = np.arange(k * n * m, dtype=np.int64).reshape(k, n, m).transpose(2, 1, 0).reshape(-1)
        return self.sums(terms, index, np.arange(0, k * n * m + 1, k, dtype=np.int64))

    @override
    def to_wire(self, rows: Rows) -> Octets:
        return np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), self.octets).copy()

    @override
    def from_wire(self, octets: Octets) -> Rows:
        if octets.ndim != 2 or octets.shape[1] != self.octets or octets.dtype != np.uint8:
            raise CiphertextRefused(f"ciphertexts of this key are [n, 64] bytes, not {octets.dtype} {octets.shape}")
        rows = np.ascontiguousarray(octets).view(np.uint64).copy()
        valid = _sodium().crypto_core_ed25519_is_valid_point
        for i, pair in enumerate(_pairs(rows)):
            if not all(map(valid, pair)):
                raise CiphertextRefused(f"ciphertext {i} of {len(rows)} holds no point of prime order on Edwards25519")
        return rows


@final
class ElGamalSecretKey(AdditiveSecretKey):
    """x, and the table of baby steps."""

    def __init__(self, secret: int, public: ElGamalPublicKey) -> None:
        if multiple_of_generator(secret) != public.point:
            raise InputError("this secret does not belong to this public key")
        self.public: ElGamalPublicKey = public
        self._secret = secret

    @override
    def decrypt(self, rows: Rows) -> list[int]:
        return [self._find(_subtract(second, _multiple(self._secret, first))) for first, second in _pairs(rows)]

    def _find(self, point: bytes) -> int:
        """m with m G = point, |m| <= capacity: whichever giant step comes within half a table of m finds it."""
        table, half = self._baby_steps
        step = 2 * half + 1
        up = down = point
        ahead, back = multiple_of_generator(step), multiple_of_generator(-step)
        for giant in range(self.public.capacity // step + 2):
            for sign, at in ((1, down), (-1, up)):
                if at in table and abs(found := sign * giant * step + table[at]) <= self.public.capacity:
                    return found
            down, up = _add(down, back), _add(up, ahead)
        raise CiphertextOverflow(
            f"a decrypted value lies outside [-2**{self.public.range_bits}, 2**{self.public.range_bits}]. Give the key a "
            "larger range_bits, or add up fewer values.",
            bound=self.public.capacity + 1,
            limit=self.public.capacity,
        )

    @cached_property
    def _baby_steps(self) -> tuple[dict[bytes, int], int]:
        half = 1 << ((self.public.range_bits + 1) // 2)
        table, point, one = {IDENTITY: 0}, IDENTITY, multiple_of_generator(1)
        for m in range(1, half + 1):
            point = _add(point, one)
            table[point] = m
            table[_subtract(IDENTITY, point)] = -m
        return table, half


def generate_elgamal(*, range_bits: int = 24) -> ElGamalSecretKey:
    """A fresh key from the operating system's entropy. Raises: MissingExtra without PyNaCl."""
    secret = 1 + secrets.randbelow(ORDER - 1)
    return ElGamalSecretKey(secret, ElGamalPublicKey(multiple_of_generator(secret), range_bits=range_bits))


def elgamal_from_facts(facts: dict[str, Any]) -> ElGamalPublicKey:
    """The public key that facts() described; KeyRefused where it is malformed."""
    text, range_bits = facts.get("point"), facts.get("range_bits")
    if not isinstance(text, str) or len(text) != 2 * POINT or not set(text) <= set("0123456789abcdef"):
        raise KeyRefused("'point' of a public key must be 64 lower-case hexadecimal digits")
    if type(range_bits) is not int or not 1 <= range_bits <= MAX_RANGE_BITS:
        raise KeyRefused(f"'range_bits' of a public key must be an integer from 1 to {MAX_RANGE_BITS}")
    return ElGamalPublicKey(bytes.fromhex(text), range_bits=range_bits)


def multiple_of_generator(factor: int) -> bytes:
    """factor * G, for any integer."""
    scalar = factor % ORDER
    return _sodium().crypto_scalarmult_ed25519_base_noclamp(scalar.to_bytes(POINT, "little")) if scalar else IDENTITY


def _multiple(factor: int, point: bytes) -> bytes:
    scalar = factor % ORDER
    if scalar == 0 or point == IDENTITY:
        return IDENTITY
    return _sodium().crypto_scalarmult_ed25519_noclamp(scalar.to_bytes(POINT, "little"), point)


def _add(p: bytes, q: bytes) -> bytes:
    return _sodium().crypto_core_ed25519_add(p, q)


def _subtract(p: bytes, q: bytes) -> bytes:
    return _sodium().crypto_core_ed25519_sub(p, q)


def _pairs(rows: Rows) -> list[tuple[bytes, bytes]]:
    flat = np.ascontiguousarray(rows).tobytes()
    return [(flat[i : i + POINT], flat[i + POINT : i + 2 * POINT]) for i in range(0, len(flat), 2 * POINT)]


def _rows(pairs: Sequence[tuple[bytes, bytes]]) -> Rows:
    joined = bytearray(b"".join([first + second for first, second in pairs]))
    return np.frombuffer(joined, np.uint64).reshape(len(pairs), 8)


@cache
def _sodium() -> Any:
    try:
        return import_module("nacl.bindings")
    except ImportError:
        raise MissingExtra("PyNaCl", EXTRA) from None
