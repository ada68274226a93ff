"""What parties do for an HE device: procedures on ciphertexts, each at one party alone.

Keys and contexts stay in the party's state under the device's number; ciphertexts are plain values of the party that computes
on them. Nothing of them leaves but through `he.dump`, which randomises.
"""

from __future__ import annotations

import operator
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tacit.foundation.errors import KeyMismatch, UnsupportedOperation
from tacit.primitive import he
from tacit.primitive.he import (
    AdditiveSecretKey,
    CiphertextArray,
    Decryptions,
    Encoding,
    concatenate,
    dump,
    dump_public_key,
    encrypt,
    feature_wise_bucket_sum,
    generate_elgamal,
    generate_okamoto_uchiyama,
    generate_paillier,
    load,
    load_public_key,
)
from tacit.schedule.procedure import Facts, PartyView, procedure

STATISTICAL_BITS = 40
"""A mask is this much longer than what it hides: what is seen differs from noise by 2**-40."""
RING_BITS = 64
GENERATORS: Mapping[str, Callable[..., AdditiveSecretKey]] = {
    "paillier": generate_paillier,
    "ec-elgamal": generate_elgamal,
    "okamoto-uchiyama": partial(generate_okamoto_uchiyama, decryptions=Decryptions.STAY_HIDDEN),
}
PACKED = {"ckks": "CkksParameters", "bfv": "BfvParameters"}
"""Schemes of `tacit.primitive.he.packed`, and their parameters."""


@dataclass(slots=True)
class Keys:
    """What a party has of one device: the public key, and at the key holder the secret one.

    family: `tacit.primitive.he` or `tacit.primitive.he.packed`, which offer the same functions for their arrays.
    """

    family: Any
    public: Any
    secret: Any = None

    def own(self) -> Any:
        """The secret key. Raises KeyMismatch elsewhere than at the key holder."""
        if self.secret is None:
            raise KeyMismatch("this party does not hold the secret key of this device")
        return self.secret


def keys_of(view: PartyView, device: int) -> Keys:
    """A device's keys at this party. Raises KeyMismatch where it takes no part."""
    keys = view.state.get(f"he.{device}")
    if not isinstance(keys, Keys):
        raise KeyMismatch(f"{view.name} has no key of HE device {device}")
    return keys


@procedure("he.generate")
def generate(view: PartyView, device: int, scheme: str, options: Mapping[str, int]) -> tuple[Sequence[Any], Facts]:
    """Make a key pair; the public key as facts, and of a packed scheme as bytes too."""
    if scheme in PACKED:
        from tacit.primitive.he import packed

        context = packed.generate(getattr(packed, PACKED[scheme])(**options))
        view.state[f"he.{device}"] = Keys(packed, context.public, context)
        header, octets = packed.dump_context(context.public)
        return [octets], dict(header)
    if scheme not in GENERATORS:
        raise UnsupportedOperation(f"no scheme {scheme!r}; there are {', '.join((*GENERATORS, *PACKED))}")
    secret = GENERATORS[scheme](**options)
    view.state[f"he.{device}"] = Keys(he, secret.public, secret)
    return [], dump_public_key(secret.public)


@procedure("he.learn")
def learn(view: PartyView, device: int, scheme: str, public: Mapping[str, Any]) -> tuple[Sequence[Any], Facts]:
    """Check and keep another party's public key."""
    if scheme in PACKED:
        from tacit.primitive.he import packed

        view.state[f"he.{device}"] = Keys(packed, packed.load_context(public, view.inputs[0]))
    else:
        view.state[f"he.{device}"] = Keys(he, load_public_key(public, decryptions=Decryptions.STAY_HIDDEN))
    return [], {}


@procedure("he.encrypt")
def encrypt_value(
    view: PartyView, device: int, fraction_bits: int, magnitude: float | None
) -> tuple[Sequence[Any], Facts]:
    """Encrypt a plain array of this party's own."""
    values = np.asarray(view.inputs[0])
    if values.dtype == np.bool_:
        values = values.astype(np.int64)
    whole = values.dtype.kind in "iu"
    keys = keys_of(view, device)
    if keys.family is not he:
        return [keys.family.encrypt(keys.public, values, magnitude=magnitude)], {}
    encoding = None
    if magnitude is not None or not whole:
        encoding = Encoding(0 if whole else fraction_bits, magnitude or 2.0**40)
    return [encrypt(keys.public, values, encoding=encoding)], {}


@procedure("he.apply")
def apply(
    view: PartyView, device: int, operation: str, operands: Sequence[str], params: Mapping[str, Any]
) -> tuple[Sequence[Any], Facts]:
    """One operation of `OPERATIONS` on ciphertexts and plain arrays."""
    keys_of(view, device)
    values, blobs = iter(view.inputs), iter(view.blobs)
    return [OPERATIONS[operation](*[next(values if kind == "value" else blobs) for kind in operands], **params)], {}


@procedure("he.dump")
def dump_value(
    view: PartyView, device: int, ring: bool, reveal: Mapping[str, Any] | None
) -> tuple[Sequence[Any], Facts]:
    """A ciphertext as bytes for another party, randomised. reveal: the key holder is going to decrypt it, and why."""
    array = view.inputs[0]
    if reveal:
        view.ledger.append("reveal", what=array.dtype.name, shape=list(array.shape), program="", **reveal)
        if ring:
            array = _hide_multiples(array)
    header, octets = keys_of(view, device).family.dump(array)
    return [octets], {"header": header, "device": device}


@procedure("he.load")
def load_value(view: PartyView, device: int, header: Mapping[str, Any]) -> tuple[Sequence[Any], Facts]:
    """Check a ciphertext that came as bytes."""
    keys = keys_of(view, device)
    return [keys.family.load(header, view.inputs[0], keys.public)], {}


@procedure("he.open")
def open_value(
    view: PartyView, device: int, header: Mapping[str, Any], ring: bool, reveal: Mapping[str, Any]
) -> tuple[Sequence[Any], Facts]:
    """Decrypt at the key holder, who learns the values; written down first."""
    keys = keys_of(view, device)
    secret = keys.own()
    array = keys.family.load(header, view.inputs[0], keys.public)
    view.ledger.append("reveal", what=array.dtype.name, shape=list(array.shape), program="", **reveal)
    if not ring:
        return [keys.family.decrypt(secret, array)], {}
    signed = _modulo_ring(secret.decrypt(array.rows())).view(np.int64).reshape(array.shape)
    if array.dtype == np.float64:
        return [np.ldexp(signed.astype(np.float64), -array.fraction_bits)], {}
    return [signed], {}


@procedure("he.mask")
def mask(view: PartyView, device: int, fraction_bits: int | None = None) -> tuple[Sequence[Any], Facts]:
    """Add a mask to a ciphertext: bytes for the key holder, and this party's ring part, minus the mask.

    fraction_bits: those that real numbers shall have on the way; more cannot be cut off under encryption.
    Source: statistical masking over the integers; what the key holder decrypts is within 2**-40 of independent of the value.
    """
    array: CiphertextArray = view.inputs[0]
    if fraction_bits is not None and array.dtype == np.float64:
        array = array.rescale(fraction_bits)
    bits = array.bound.bit_length() + STATISTICAL_BITS
    array.checked(array.bound + (1 << bits), "a masked value")
    masks = [secrets.randbits(bits) for _ in range(array.size)]
    rows = array.key.add(array.rows(), array.key.trivial(masks))
    header, octets = dump(array.replaced(rows, bound=array.bound + (1 << bits)))
    part = np.negative(_modulo_ring(masks)).reshape(array.shape)
    return [octets, part], {"header": header, "fraction_bits": array.fraction_bits, "device": device}


@procedure("he.unmask")
def unmask(view: PartyView, device: int, header: Mapping[str, Any]) -> tuple[Sequence[Any], Facts]:
    """Decrypt a masked ciphertext: the key holder's ring part."""
    keys = keys_of(view, device)
    array = load(header, view.inputs[0], keys.public)
    return [_modulo_ring(keys.own().decrypt(array.rows())).reshape(array.shape)], {}


@procedure("he.encrypt_part")
def encrypt_part(view: PartyView, device: int, kind: str, fraction_bits: int) -> tuple[Sequence[Any], Facts]:
    """Encrypt a ring part, as a number modulo 2^64, for the evaluator: bytes."""
    array = encrypt(keys_of(view, device).public, view.inputs[0].view(np.int64))
    header, octets = dump(_tagged(array, kind, fraction_bits))
    return [octets], {"header": header}


@procedure("he.add_part")
def add_part(view: PartyView, device: int, header: Mapping[str, Any]) -> tuple[Sequence[Any], Facts]:
    """The evaluator's ciphertext of a secret, modulo 2^64, from the key holder's part and its own."""
    octets, part = view.inputs
    array = load(header, octets, keys_of(view, device).public)
    own = array.key.trivial([int(value) for value in part.view(np.int64).reshape(-1)])
    bound = array.checked(array.bound + (1 << (RING_BITS - 1)), "a sum of two parts")
    return [array.replaced(array.key.add(array.rows(), own), bound=bound)], {}


def _tagged(array: CiphertextArray, kind: str, fraction_bits: int) -> CiphertextArray:
    if kind == "fixed":
        return array.replaced(array.rows(), dtype=np.dtype(np.float64), fraction_bits=fraction_bits)
    return array


def _hide_multiples(array: CiphertextArray) -> CiphertextArray:
    """Add random multiples of 2^64: how often the parts wrapped, and by which factors, is nobody's business."""
    bits = max(array.bound.bit_length() - RING_BITS, 0) + STATISTICAL_BITS
    bound = array.checked(array.bound + (1 << (bits + RING_BITS)), "a value with its multiple of 2**64 hidden")
    multiples = [secrets.randbits(bits) << RING_BITS for _ in range(array.size)]
    return array.replaced(array.key.add(array.rows(), array.key.trivial(multiples)), bound=bound)


def _modulo_ring(values: Sequence[int]) -> np.ndarray:
    return np.array([value % (1 << RING_BITS) for value in values], np.uint64)


def _index(array: CiphertextArray, *arrays: np.ndarray, key: Sequence[Any]) -> CiphertextArray:
    supply = iter(arrays)
    items: list[Any] = []
    for item in key:
        if item == "array":
            items.append(next(supply))
        elif item == "...":
            items.append(...)
        else:
            items.append(slice(*item) if isinstance(item, list) else item)
    return array[tuple(items)]


def _multiply(a: Any, b: Any, *, magnitude: float | None = None, fraction_bits: int = 24) -> Any:
    array, factors = (a, b) if isinstance(a, CiphertextArray) else (b, a)
    if not isinstance(array, CiphertextArray):
        return a * b
    return array.multiply(factors, magnitude=magnitude, fraction_bits=fraction_bits)


def _matmul(a: Any, b: Any, *, magnitude: float | None = None, fraction_bits: int = 24) -> Any:
    options: dict[str, Any] = {"magnitude": magnitude, "fraction_bits": fraction_bits}
    if isinstance(a, CiphertextArray):
        return a.matmul(b, **options)
    if not isinstance(b, CiphertextArray):
        return a @ b
    factors = np.asarray(a)
    if b.ndim == 1:
        return b.matmul(factors.T, **options)
    return b.T.matmul(factors.T, **options).T


OPERATIONS: Mapping[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "neg": operator.neg,
    "mul": _multiply,
    "matmul": _matmul,
    "sum": lambda a, axis=None: a.sum(axis),
    "index": _index,
    "take": lambda a, indices, axis=0: a.take(indices, axis),
    "reshape": lambda a, shape: a.reshape(tuple(shape)),
    "polynomial": lambda a, coefficients: a.polynomial(coefficients),
    "dot": lambda a, b: a.dot(b),
    "mean": lambda a, axis=None: a.mean(axis),
    "transpose": lambda a, axes=None: a.transpose(*axes) if axes else a.T,
    "concatenate": lambda *arrays, axis=0: concatenate(arrays, axis),
    "bucket_sum": lambda a, buckets, *rows, count: feature_wise_bucket_sum(
        a, buckets, count, rows=rows[0] if rows else None
    ),
}
"""What an HE device computes on ciphertexts, by name."""
