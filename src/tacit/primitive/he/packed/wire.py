"""Packed arrays and public contexts as what travels: a header of JSON facts and bytes, all checked on arrival.

The bytes are residues and nothing else (see `words`): their number follows from the header, whose every field is checked
against the parameters first, and each is compared with its prime. SEAL never reads what others wrote. What no check can see
is whether a ciphertext was made by encryption: one that was not decrypts to anything, or beyond its bounds.

`dump` adds a fresh encryption of zero, always: a result is else a deterministic function of its operands, which whoever
holds those could use to test guesses. It clears slots that hold anything but the array. The key holder, who sees the noise
of a result, can still tell more about how it was computed than the result says: treat the function as known to it, or
keep private factors out of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import CiphertextRefused, ConfigError, KeyMismatch, KeyRefused, UnsupportedOperation
from tacit.primitive.he.packed.array import PackedArray
from tacit.primitive.he.packed.context import PublicContext
from tacit.primitive.he.packed.engine import Ring
from tacit.primitive.he.packed.library import seal
from tacit.primitive.he.packed.parameters import parameters_from
from tacit.primitive.he.packed.slots import Geometry, Layout
from tacit.primitive.he.packed.words import (
    Octets,
    Words,
    fill_ciphertext,
    fill_keys,
    pack,
    packed_size,
    unpack,
    words_of,
)

FORMAT = "tacit.he.packed.array"
CONTEXT_FORMAT = "tacit.he.packed.context"
VERSION = 1
MAX_AXES = 32
MAX_CIPHERTEXTS = 1 << 20
FIELDS = {"format", "version", "key", "shape", "start", "strides", "period", "ciphertexts", "clean", "bounds"}
CONTEXT_FIELDS = {"format", "version", "parameters", "rotations", "key"}


def dump(array: PackedArray, *, danger_keep_other_slots: bool = False) -> tuple[dict[str, Any], Octets]:
    """Randomise an array and give it as a header and bytes. A secret key has no such function.

    Reveals: to the key holder, the values; to all, shape, places, levels and bounds, rounded up. With
             `danger_keep_other_slots` also whatever lies beside the array: partial sums, numbers that were sliced away.
    Costs:   an encryption per ciphertext, and a level where the array is not `clean`. For CKKS, each level dropped before
             (`lowered(0)`) makes it smaller.
    Raises:  LevelsExhausted where clearing takes a level that is not left.
    """
    context, arithmetic = array.context, array.arithmetic
    if not danger_keep_other_slots:
        array = array.cleaned()
    affine = _affine(array.layout)
    if affine is None:
        array = array.repacked()
        affine = _affine(array.layout)
        if affine is None:
            raise UnsupportedOperation("an array whose numbers lie at irregular places cannot be sent: repack it first")
    bounds = arithmetic.randomised(array.bounds)
    level = arithmetic.level(bounds)
    primes = context.ring.levels[level].primes
    start, strides = affine
    header: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "key": context.fingerprint,
        "shape": list(array.shape),
        "start": start,
        "strides": strides,
        "period": array.layout.period,
        "ciphertexts": array.layout.count,
        "clean": array.clean,
        "bounds": arithmetic.to_facts(bounds),
    }
    cells = [pack(words_of(context.engine.add(cell, arithmetic.zero(level))), primes) for cell in array.cells]
    return header, np.concatenate(cells)


def load(header: Mapping[str, Any], octets: NDArray[np.uint8], context: PublicContext) -> PackedArray:
    """The array that `dump` made, checked: the header by field, the size, and every residue.

    Raises: KeyMismatch where it names another key; CiphertextRefused for anything else that is not as it must be.
    """
    _require_header(header, FORMAT, FIELDS, CiphertextRefused)
    if header["key"] != context.fingerprint:
        raise KeyMismatch(f"the array was made under another key than {context.fingerprint[:16]}: load that key first")
    layout = _layout(header, context.ring.geometry)
    facts, arithmetic, ring = header["bounds"], context.arithmetic, context.ring
    if not isinstance(facts, dict) or type(header["clean"]) is not bool:
        raise CiphertextRefused("the bounds must be an object, and clean true or false")
    bounds = arithmetic.from_facts(facts)
    level = arithmetic.level(bounds)
    parms_id, primes = ring.levels[level]
    each = packed_size(2, ring.parameters.degree, primes)
    octets = np.asarray(octets)
    if octets.dtype != np.uint8 or octets.ndim != 1 or octets.size != layout.count * each:
        raise CiphertextRefused(
            f"an array of shape {octets.shape} of {octets.dtype} arrived where {layout.count} ciphertexts of {each} bytes "
            "were announced"
        )
    cells = []
    real = ring.parameters.scheme == "ckks"
    scale = arithmetic.scale(level) if real else 1.0  # type: ignore[attr-defined]
    for row in octets.reshape(layout.count, each):
        words = unpack(row, 2, ring.parameters.degree, primes)
        if not words[1].any():
            raise CiphertextRefused("a ciphertext is transparent: its second polynomial is zero, so nothing hides it")
        cell = seal().Ciphertext()
        fill_ciphertext(cell, ring.context, words, parms_id, transformed=real, scale=scale)
        cells.append(cell)
    return PackedArray(context, cells, layout, bounds, clean=header["clean"])


def dump_context(context: PublicContext) -> tuple[dict[str, Any], Octets]:
    """A public context as a header and bytes: public key, relinearisation keys, rotation keys."""
    header = {
        "format": CONTEXT_FORMAT,
        "version": VERSION,
        "parameters": context.parameters.facts(),
        "rotations": context.rotates,
        "key": context.fingerprint,
    }
    primes = context.ring.keys.primes
    relinearisation, rotations = context.switching_words
    pieces = [context.public_words]
    for keys in (relinearisation, rotations):
        for index in sorted(keys):
            pieces += keys[index]
    return header, np.concatenate([pack(words, primes) for words in pieces])


def load_context(header: Mapping[str, Any], octets: NDArray[np.uint8]) -> PublicContext:
    """The context that `dump_context` made, checked: parameters of 128 bits of security, sizes, and every residue.

    What no check can see is whether the keys belong together: wrong ones make wrong results, for their holder.
    Raises: KeyRefused for whatever is not as it must be.
    """
    _require_header(header, CONTEXT_FORMAT, CONTEXT_FIELDS, KeyRefused)
    if type(header["rotations"]) is not bool or not isinstance(header["key"], str):
        raise KeyRefused("rotations must be true or false, and the key's fingerprint a string")
    try:
        ring = Ring(parameters_from(header["parameters"]))
    except ConfigError as error:
        raise KeyRefused(f"the parameters are refused: {error}") from None
    primes, degree = ring.keys.primes, ring.parameters.degree
    parts, elements = len(primes) - 1, ring.galois_elements() if header["rotations"] else []
    each = packed_size(2, degree, primes)
    octets = np.asarray(octets)
    if octets.dtype != np.uint8 or octets.shape != ((1 + parts * (1 + len(elements))) * each,):
        raise KeyRefused(f"the keys must be {(1 + parts * (1 + len(elements))) * each} bytes, not {octets.size}")
    try:
        keys = [unpack(row, 2, degree, primes) for row in octets.reshape(-1, each)]
    except CiphertextRefused as error:
        raise KeyRefused(f"the keys are malformed: {error}") from None
    if not all(words[1].any() for words in keys):
        raise KeyRefused("a key has a second polynomial of zeros: it would not hide what it encrypts")
    context = _assembled(ring, keys, parts, elements)
    if context.fingerprint != header["key"]:
        raise KeyRefused("the fingerprint does not belong to this key")
    return context


def _assembled(ring: Ring, keys: Sequence[Words], parts: int, elements: Sequence[int]) -> PublicContext:
    """SEAL's objects of checked residues: the public key's first, then the parts of each switching key."""
    library, parms_id = seal(), ring.keys.parms_id
    groups = [keys[1 + parts * index : 1 + parts * (index + 1)] for index in range(1 + len(elements))]
    indices = sorted(ring.key_index(element) for element in elements)
    public_key, relinearisation, rotations = library.PublicKey(), library.RelinKeys(), None
    try:
        fill_ciphertext(public_key, ring.context, keys[0], parms_id, transformed=True, scale=1.0)
        fill_keys(relinearisation, ring.context, {0: groups[0]}, parms_id)
        if elements:
            rotations = library.GaloisKeys()
            fill_keys(rotations, ring.context, dict(zip(indices, groups[1:], strict=True)), parms_id)
    except CiphertextRefused as error:
        raise KeyRefused(str(error)) from None
    return PublicContext(ring, public_key, relinearisation, rotations)


def _require_header(
    header: Mapping[str, Any], format: str, fields: set[str], refusal: type[CiphertextRefused | KeyRefused]
) -> None:
    if not isinstance(header, Mapping) or header.get("format") != format or header.get("version") != VERSION:
        raise refusal(f"the header is not of format {format!r}, version {VERSION}")
    if set(header) != fields:
        raise refusal(f"{len(set(header) ^ fields)} fields of the header are unknown or missing")


def _affine(layout: Layout) -> tuple[int, list[int]] | None:
    """The place of the first number and the distances along each axis; None where they are not regular."""
    places = layout.places
    start = int(places.flat[0])
    strides = [
        int(np.take(places, 1, axis).flat[0]) - start if places.shape[axis] > 1 else 0 for axis in range(places.ndim)
    ]
    return (start, strides) if np.array_equal(places, _places(places.shape, start, strides)) else None


def _places(shape: Sequence[int], start: int, strides: Sequence[int]) -> NDArray[np.int64]:
    places = np.full(tuple(shape), start, np.int64)
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        places += (np.arange(size) * stride).reshape([-1 if index == axis else 1 for index in range(len(shape))])
    return places


def _layout(header: Mapping[str, Any], geometry: Geometry) -> Layout:
    """Places within the announced ciphertexts, no two alike, at most as many as there are slots."""
    shape, strides = header["shape"], header["strides"]
    start, period, count = header["start"], header["period"], header["ciphertexts"]
    if not (_integers(shape, 1, 1 << 40) and _integers(strides, -(1 << 40), 1 << 40) and len(shape) == len(strides)):
        raise CiphertextRefused(f"shape and strides must be lists of integers, one each for at most {MAX_AXES} axes")
    if type(count) is not int or not 1 <= count <= MAX_CIPHERTEXTS:
        raise CiphertextRefused(f"the number of ciphertexts must lie between 1 and {MAX_CIPHERTEXTS}")
    if type(period) is not int or not 1 <= period <= geometry.slots or period & (period - 1):
        raise CiphertextRefused(f"the period must be a power of two up to {geometry.slots}")
    if type(start) is not int or not 0 <= start < count * geometry.slots or math.prod(shape) > count * period:
        raise CiphertextRefused(f"shape {shape} does not begin, or has no room, in {count} ciphertexts")
    places = _places(shape, start, strides)
    if places.min() < 0 or places.max() >= count * geometry.slots or (places % geometry.slots >= period).any():
        raise CiphertextRefused("some places lie outside the announced ciphertexts or their period")
    if len(np.unique(places)) != places.size:
        raise CiphertextRefused("two numbers have the same place")
    return Layout(geometry, places, period, count)


def _integers(value: Any, least: int, most: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= MAX_AXES
        and all(type(item) is int and least <= item <= most for item in value)
    )
