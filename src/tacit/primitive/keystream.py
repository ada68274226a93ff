"""The AES-128 counter-mode keystream: one contract, and two implementations that agree bit for bit.

Block i of stream `nonce` is AES_key(nonce as 8 big-endian bytes || (counter + i) as 8 big-endian bytes): CTR mode of
NIST SP 800-38A with the initial block nonce || counter. Read as uint64 words the stream is little-endian. The native
implementation needs the processor's AES instructions; without them OpenSSL's constant-time AES is used, never a
table. Nothing here remembers which streams were used: that is `tacit.primitive.prg.Prg`'s task.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Protocol, TypeAlias, final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

from tacit import _native
from tacit.foundation.errors import InputError

Writable: TypeAlias = bytearray | memoryview | NDArray[Any]


class Keystream(Protocol):
    """The keystream of one key, written to or combined with a C-contiguous buffer of the caller's.

    `nonce` and `counter` are 64-bit numbers; the stream must end before block 2**64. `expand` and `xor_into` take
    buffers of any length and numeric type, `add_into` and `sub_into` those of 64-bit integers. A buffer of another
    kind raises TypeError, a stream that would not end in time ValueError; either leaves the buffer unchanged.
    """

    def expand(self, nonce: int, counter: int, out: Writable) -> None:
        """Overwrite `out` with the stream."""

    def add_into(self, nonce: int, counter: int, out: Writable) -> None:
        """Add the stream to `out`, word by word modulo 2**64."""

    def sub_into(self, nonce: int, counter: int, out: Writable) -> None:
        """Subtract the stream from `out`, word by word modulo 2**64."""

    def xor_into(self, nonce: int, counter: int, out: Writable) -> None:
        """Exclusive-or the stream into `out`, byte by byte."""


def keystream(key: bytes) -> Keystream:
    """The fastest implementation that this machine has."""
    return _native.Aes128(key) if _native.has_aes() else OpenSslKeystream(key)


@final
class OpenSslKeystream:
    """The keystream by OpenSSL, for processors without AES instructions that the native core knows."""

    __slots__ = ("_algorithm",)

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise InputError(f"an AES-128 key has {KEY_BYTES} bytes, not {len(key)}")
        self._algorithm = algorithms.AES128(key)

    def expand(self, nonce: int, counter: int, out: Writable) -> None:
        """Overwrite `out` with the stream."""
        held = _bytes_of(out)
        for part, stream in self._parts(nonce, counter, held.size):
            held[part] = stream

    def add_into(self, nonce: int, counter: int, out: Writable) -> None:
        """Add the stream to `out`, word by word modulo 2**64."""
        held = _bytes_of(out, words=True)
        for part, stream in self._parts(nonce, counter, held.size):
            words = held[part].view(_WORD)
            words += stream.view(_WORD)

    def sub_into(self, nonce: int, counter: int, out: Writable) -> None:
        """Subtract the stream from `out`, word by word modulo 2**64."""
        held = _bytes_of(out, words=True)
        for part, stream in self._parts(nonce, counter, held.size):
            words = held[part].view(_WORD)
            words -= stream.view(_WORD)

    def xor_into(self, nonce: int, counter: int, out: Writable) -> None:
        """Exclusive-or the stream into `out`, byte by byte."""
        held = _bytes_of(out)
        for part, stream in self._parts(nonce, counter, held.size):
            held[part] ^= stream

    def _parts(self, nonce: int, counter: int, size: int) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
        """The stream in pieces that stay in the cache."""
        for number in (nonce, counter):
            if not 0 <= number < _WORDS:
                raise InputError(f"nonce and counter are 64-bit numbers, not {number}")
        if counter + -(-size // _BLOCK) > _WORDS:
            raise InputError(f"counter {counter} leaves no room for {-(-size // _BLOCK)} blocks below 2**64")
        start = ((nonce << 64) | counter).to_bytes(_BLOCK, "big")
        encryptor = Cipher(self._algorithm, modes.CTR(start)).encryptor()
        for begin in range(0, size, _PART):
            end = min(begin + _PART, size)
            yield slice(begin, end), np.frombuffer(encryptor.update(_ZEROS[: end - begin]), np.uint8)


def _bytes_of(out: Writable, *, words: bool = False) -> NDArray[np.uint8]:
    """A writable flat view of `out`'s memory."""
    view = out.data if isinstance(out, np.ndarray) else memoryview(out)
    if view.readonly or not view.c_contiguous:
        raise TypeError("out must be a C-contiguous writable array")
    if view.format not in (_WORD_FORMATS if words else _FORMATS):
        raise TypeError(f"out must have a {'64-bit integer' if words else 'numeric'} type, not {view.format!r}")
    return np.frombuffer(view, np.uint8) if view.nbytes else np.empty(0, np.uint8)


KEY_BYTES = 16
_BLOCK = 16
_WORDS = 2**64
_WORD = np.dtype("<u8")
_WORD_FORMATS = frozenset("LQlq")
_FORMATS = _WORD_FORMATS | frozenset("?cbBhHiIefd")
_PART = 1 << 16
_ZEROS = bytes(_PART)

if sys.byteorder != "little":  # pragma: no cover
    raise ImportError("tacit needs a little-endian machine: its words travel and are masked in that order")
