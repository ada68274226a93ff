"""Ciphertexts and keys as plain words, without letting SEAL read what others wrote.

SEAL's readers parse compressed, nested, attacker-sized structures in C++; releases before 4.4.0, among them the one that
TenSEAL carries today, have memory-safety defects there. So what travels is our own: residues modulo known primes,
as many as the parameters say, checked one by one in NumPy. Only then is SEAL's form of them written here, from nothing but
those residues and our own parameters, uncompressed, and handed to SEAL through memory.

    ciphertext  parms_id[32] ntt[1] size[8] degree[8] primes[8] scale[8] correction[8], then an array:
    array       header[16] count[8] word[8] * count
    key set     parms_id[32] entries[8], then for each: keys[8], then for each: header[16] ciphertext
    header      magic[2] 16[1] major[1] minor[1] compression[1] 0[2] size[8]
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tacit.foundation.errors import CiphertextRefused, ConfigError
from tacit.primitive.he.packed.library import seal

Words: TypeAlias = NDArray[np.uint64]  # [polynomials, primes, degree]
Octets: TypeAlias = NDArray[np.uint8]

_HEADER = struct.Struct("<HBBBBHQ")
_FACTS = struct.Struct("<32sBQQQdQ")
_COUNT = struct.Struct("<Q")
_MAGIC = 0xA15E
_PLAIN, _ZLIB, _ZSTD = 0, 1, 2
_CODECS = {_ZLIB: "gzip", _ZSTD: "zstd"}


def words_of(ciphertext: Any) -> Words:
    """The residues of a ciphertext or public key of our own."""
    return _read_ciphertext(_Reader(saved(ciphertext)))


def key_words_of(keys: Any) -> dict[int, list[Words]]:
    """The residues of relinearisation or Galois keys of our own, by their index."""
    reader = _Reader(saved(keys))
    reader.take(32)
    out = {}
    for index in range(reader.count()):
        parts = []
        for _ in range(reader.count()):
            reader.take(_HEADER.size)
            parts.append(_read_ciphertext(reader))
        if parts:
            out[index] = parts
    return out


def fill_ciphertext(
    target: Any, context: Any, words: Words, parms_id: Sequence[int], *, transformed: bool, scale: float
) -> None:
    """Put residues that were checked into a ciphertext or public key of SEAL's."""
    body = b"".join(_ciphertext(words, parms_id, transformed=transformed, scale=scale))
    _load(target, context, body)


def fill_keys(target: Any, context: Any, keys: Mapping[int, Sequence[Words]], parms_id: Sequence[int]) -> None:
    """Put residues that were checked into relinearisation or Galois keys of SEAL's."""
    pieces: list[bytes] = [struct.pack("<4Q", *parms_id), _COUNT.pack(max(keys) + 1)]
    for index in range(max(keys) + 1):
        parts = keys.get(index, ())
        pieces.append(_COUNT.pack(len(parts)))
        for part in parts:
            inner = b"".join(_ciphertext(part, parms_id, transformed=True, scale=1.0))
            pieces += [_header(len(inner)), inner]
    _load(target, context, b"".join(pieces))


def pack(words: Words, primes: Sequence[int]) -> Octets:
    """Residues [polynomials, primes, degree] as bytes, each in as few as its prime has."""
    return np.concatenate(
        [
            np.ascontiguousarray(words[:, index]).astype("<u8", copy=False).view(np.uint8)
            .reshape(words.shape[0], words.shape[2], 8)[..., : _width(prime)].reshape(words.shape[0], -1)
            for index, prime in enumerate(primes)
        ],
        axis=1,
    ).reshape(-1)  # fmt: skip


def packed_size(polynomials: int, degree: int, primes: Sequence[int]) -> int:
    """How many bytes that takes."""
    return polynomials * degree * sum(_width(prime) for prime in primes)


def unpack(octets: Octets, polynomials: int, degree: int, primes: Sequence[int]) -> Words:
    """Residues of bytes that arrived, [polynomials, primes, degree]; CiphertextRefused where one is too large."""
    if octets.size != packed_size(polynomials, degree, primes):
        raise CiphertextRefused(
            f"{octets.size} bytes arrived where {packed_size(polynomials, degree, primes)} are needed"
        )
    out = np.zeros((polynomials, len(primes), degree, 8), np.uint8)
    table, start = octets.reshape(polynomials, -1), 0
    for index, prime in enumerate(primes):
        stop = start + degree * _width(prime)
        out[:, index, :, : _width(prime)] = table[:, start:stop].reshape(polynomials, degree, -1)
        start = stop
    words = out.view("<u8").reshape(polynomials, len(primes), degree).astype(np.uint64, copy=False)
    if (words >= np.array(primes, np.uint64)[:, None]).any():
        raise CiphertextRefused("a residue is not below its prime")
    return words


def saved(value: Any) -> bytes:
    """What SEAL writes of an object of our own, decompressed and without the outermost header."""
    with _memory() as (descriptor, path):
        value.save(path)
        size = os.lseek(descriptor, 0, os.SEEK_END)
        data = os.pread(descriptor, size, 0)
        while len(data) < size:  # one read is 2 GiB at most
            data += os.pread(descriptor, size - len(data), len(data))
    magic, length, _, _, compression, _, total = _HEADER.unpack_from(data)
    if (magic, length, total) != (_MAGIC, _HEADER.size, len(data)):
        raise ConfigError("this release of TenSEAL writes ciphertexts in another form. Install tenseal 0.3.18.")
    body = data[_HEADER.size :]
    if compression == _PLAIN:
        return body
    with pa.CompressedInputStream(pa.BufferReader(body), _CODECS[compression]) as stream:
        return bytes(stream.read())


def _load(target: Any, context: Any, body: bytes) -> None:
    with _memory() as (descriptor, path):
        rest = memoryview(_header(len(body)) + body)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        try:
            target.load(context, path)
        except (RuntimeError, ValueError) as error:  # the second net: SEAL checks what it reads, too
            raise CiphertextRefused("the library did not accept the residues as a ciphertext of this key") from error


@contextmanager
def _memory() -> Iterator[tuple[int, str]]:
    """A file that exists in this process's memory only: SEAL's bindings read and write by path."""
    descriptor = os.memfd_create("tacit", os.MFD_CLOEXEC)
    try:
        yield descriptor, f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _ciphertext(words: Words, parms_id: Sequence[int], *, transformed: bool, scale: float) -> Iterator[bytes]:
    polynomials, primes, degree = words.shape
    name = struct.pack("<4Q", *parms_id)
    yield _FACTS.pack(name, transformed, polynomials, degree, primes, scale, 1)
    yield _header(_COUNT.size + words.nbytes)
    yield _COUNT.pack(words.size)
    yield np.ascontiguousarray(words).astype("<u8", copy=False).tobytes()


def _header(size: int) -> bytes:
    return _HEADER.pack(_MAGIC, _HEADER.size, *_version(), _PLAIN, 0, _HEADER.size + size)


@cache
def _version() -> tuple[int, int]:
    """Of SEAL, major and minor; it reads its own."""
    own = seal().Serialization.SEALHeader()
    return own.version_major, own.version_minor


class _Reader:
    """A cursor over what SEAL wrote."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def count(self) -> int:
        return int(_COUNT.unpack(self.take(_COUNT.size))[0])


def _read_ciphertext(reader: _Reader) -> Words:
    _, _, polynomials, degree, primes, _, _ = _FACTS.unpack(reader.take(_FACTS.size))
    reader.take(_HEADER.size)
    count = reader.count()
    if count != polynomials * degree * primes:
        raise ConfigError("this release of TenSEAL writes ciphertexts in another form. Install tenseal 0.3.18.")
    words = np.frombuffer(reader.take(8 * count), "<u8")
    return words.astype(np.uint64, copy=False).reshape(polynomials, primes, degree)


def _width(prime: int) -> int:
    return (int(prime).bit_length() + 7) // 8
