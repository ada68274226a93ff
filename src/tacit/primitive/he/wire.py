"""Ciphertext arrays and public keys as what travels: a header of JSON facts and canonical bytes, checked on arrival.

Why `dump` randomises, always: a homomorphic result is a deterministic function of its operands. Whoever holds the
ciphertexts that went in (the key holder made them) can test a guess of what was done to them: c**3 is c times 3, and
the sum over a bucket shows which samples are in it. A fresh encryption of zero, multiplied in, makes the result
independent of everything but its plaintext. That costs an encryption each, and is not left to anyone's memory. What the
plaintext itself tells (a sum over one sample) is for the protocol above to prevent. Fresh encryptions need no second
randomness and get it all the same: the array cannot prove that it was not sent before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import CiphertextRefused, InputError, KeyMismatch, KeyRefused
from tacit.primitive.he.array import CiphertextArray
from tacit.primitive.he.elgamal import elgamal_from_facts
from tacit.primitive.he.encoding import Packing
from tacit.primitive.he.okamoto_uchiyama import Decryptions, okamoto_uchiyama_from_facts
from tacit.primitive.he.paillier import paillier_from_facts
from tacit.primitive.he.scheme import AdditivePublicKey

FORMAT = "tacit.he.array"
KEY_FORMAT = "tacit.he.key"
VERSION = 1
MAX_AXES = 32
MAX_FRACTION_BITS = 8192
DTYPES: dict[str, type[np.float64 | np.int64]] = {"float64": np.float64, "int64": np.int64}


def dump(array: CiphertextArray) -> tuple[dict[str, Any], NDArray[np.uint8]]:
    """Randomise an array and give it as a header and bytes [size, octets].

    Reveals: to whoever holds the secret key, the values; to all, shape, dtype, fraction bits, packing and the bound,
             rounded up to a power of two less one.
    Costs:   an encryption for each ciphertext; see the module's docstring for why.
    """
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "key": array.key.fingerprint,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "fraction_bits": array.fraction_bits,
        "bound": f"{min((1 << array.bound.bit_length()) - 1, array.limit):x}",
        "packing": None if array.packing is None else [array.packing.lanes, array.packing.lane_bits],
    }
    return header, array.key.to_wire(array.key.randomise(array.rows()))


def load(header: Mapping[str, Any], octets: NDArray[np.uint8], key: AdditivePublicKey) -> CiphertextArray:
    """The array that `dump` made, checked: the header by field, and every ciphertext (range, common factors).

    Raises: KeyMismatch where it names another key; CiphertextRefused for anything else that is not as it must be.
    Costs:  two or three products per ciphertext.
    """
    if header.get("format") != FORMAT or header.get("version") != VERSION:
        raise CiphertextRefused(f"the header is not of format {FORMAT!r}, version {VERSION}")
    unknown = set(header) ^ {"format", "version", "key", "shape", "dtype", "fraction_bits", "bound", "packing"}
    if unknown:
        raise CiphertextRefused(f"{len(unknown)} fields of the header are unknown or missing")
    if header["key"] != key.fingerprint:
        raise KeyMismatch(f"the array was made under another key than {key.fingerprint[:16]}: load that key first")
    shape = _shape(header["shape"])
    dtype = DTYPES.get(header["dtype"]) if isinstance(header["dtype"], str) else None
    if dtype is None:
        raise CiphertextRefused(f"the dtype must be one of {', '.join(DTYPES)}")
    fraction_bits = header["fraction_bits"]
    if type(fraction_bits) is not int or not 0 <= fraction_bits <= MAX_FRACTION_BITS:
        raise CiphertextRefused(f"fraction_bits must be an integer from 0 to {MAX_FRACTION_BITS}")
    octets = np.asarray(octets)
    if octets.dtype != np.uint8 or octets.size != math.prod(shape) * key.octets:
        raise CiphertextRefused(
            f"{octets.size} elements of {octets.dtype} arrived where shape {shape} needs {math.prod(shape) * key.octets} bytes"
        )
    packing = _packing(header["packing"], key)
    empty = CiphertextArray(
        key, key.trivial([]), shape, dtype=np.dtype(dtype), fraction_bits=fraction_bits, bound=0, packing=packing
    )
    bound = _bound(header["bound"], empty.limit)
    rows = key.from_wire(octets.reshape(-1, key.octets))
    return CiphertextArray(
        key, rows, shape, dtype=empty.dtype, fraction_bits=fraction_bits, bound=bound, packing=packing
    )


def dump_public_key(key: AdditivePublicKey) -> dict[str, Any]:
    """The public key as facts that JSON can say. A secret key has no such function."""
    return {"format": KEY_FORMAT, "version": VERSION, **key.facts()}


def load_public_key(facts: Mapping[str, Any], *, decryptions: Decryptions = Decryptions.VISIBLE) -> AdditivePublicKey:
    """The public key that `dump_public_key` described, checked.

    decryptions: what becomes of decrypted values; Okamoto-Uchiyama is refused unless they stay hidden.
    Raises: KeyRefused where it is malformed or weak; PolicyError for Okamoto-Uchiyama by default.
    """
    if facts.get("format") != KEY_FORMAT or facts.get("version") != VERSION:
        raise KeyRefused(f"the facts are not of format {KEY_FORMAT!r}, version {VERSION}")
    plain = dict(facts)
    scheme: Literal["paillier", "okamoto-uchiyama", "ec-elgamal"] | Any = plain.get("scheme")
    if scheme == "paillier":
        return paillier_from_facts(plain)
    if scheme == "okamoto-uchiyama":
        return okamoto_uchiyama_from_facts(plain, decryptions=decryptions)
    if scheme == "ec-elgamal":
        return elgamal_from_facts(plain)
    raise KeyRefused("the scheme is none of paillier, okamoto-uchiyama and ec-elgamal")


def _shape(value: Any) -> tuple[int, ...]:
    if (
        not isinstance(value, list)
        or len(value) > MAX_AXES
        or not all(type(size) is int and 0 <= size < 2**40 for size in value)
    ):
        raise CiphertextRefused(f"the shape must be a list of at most {MAX_AXES} sizes")
    return tuple(value)


def _packing(value: Any, key: AdditivePublicKey) -> Packing | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(type(size) is int for size in value):
        raise CiphertextRefused("the packing must be null or two integers, lanes and lane_bits")
    try:
        packing = Packing(*value)
        packing.require_room(key.capacity)
    except InputError as error:
        raise CiphertextRefused(f"the packing does not fit the key: {error}") from None
    return packing


def _bound(value: Any, limit: int) -> int:
    if not isinstance(value, str) or not 0 < len(value) <= 1024 or not set(value) <= set("0123456789abcdef"):
        raise CiphertextRefused("the bound must be up to 1024 lower-case hexadecimal digits")
    bound = int(value, 16)
    if bound > limit:
        raise CiphertextRefused(
            f"the bound has {bound.bit_length()} bits, and the key or its lanes hold {limit.bit_length()}"
        )
    return bound
