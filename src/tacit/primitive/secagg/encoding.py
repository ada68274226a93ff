"""From trees of numbers to words that are summed modulo a power of 256, and back to sums and means.

A float becomes the nearest multiple of 2**-fraction_bits, an integer stays what it is; a weight multiplies them and
travels beside them. The modulus has room for the largest sum that n clients within their bounds can reach, so that
nothing wraps.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, final

import numpy as np
from numpy.typing import NDArray

from tacit.foundation.errors import ClipExceeded, ConfigError, ShapeError, TypeMismatch

Words = NDArray[np.uint32] | NDArray[np.uint64]


@final
@dataclass(frozen=True)
class Leaf:
    """One array of a tree: its path, its shape, and whether it holds floats (else integers)."""

    path: str
    shape: tuple[int, ...]
    floating: bool

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@final
@dataclass(frozen=True)
class Layout:
    """What a tree looks like without its values. `Layout.of(tree)` reads it off any tree of that form."""

    leaves: tuple[Leaf, ...]

    @classmethod
    def of(cls, tree: Any) -> Layout:
        """The layout of a pytree of float and integer arrays or numbers. Raises: TypeMismatch for another leaf."""
        from jax import tree_util

        paths, _ = tree_util.tree_flatten_with_path(tree)
        return cls(tuple(_leaf(tree_util.keystr(path), np.asarray(value)) for path, value in paths))

    @property
    def size(self) -> int:
        """How many numbers the tree holds."""
        return sum(leaf.size for leaf in self.leaves)


@final
@dataclass(frozen=True)
class Encoding:
    """How the numbers of one tree become words, the same at every client and at the server.

    clients: the most that are summed. clip: |float| <= clip. fraction_bits: floats become multiples of
    2**-fraction_bits. integer_limit: |integer| <= integer_limit. weight_limit: the largest weight, or None for sums and
    means in which everybody counts alike. weight_bits: weights become multiples of 2**-weight_bits; 0 for numbers of
    examples. beyond: what a client does with a number beyond its bound: refuse to take part, or clip. norm_bound: a
    bound on the Euclidean norm of all floats of a client together; beyond it a client refuses, or scales them down. NaN
    and infinity are always refused.

    The bounds are kept by honest clients, who check themselves. A malicious client can submit any words, and the
    server, who sees sums only, cannot tell: that takes zero-knowledge proofs of the range or the norm, and there are
    none here.

    Error: of every float of a mean, weighted or not, at most `mean_error`; of a sum, `mean_error` times the sum of
        weights. Integers are exact, but for weights that are rounded. To that comes the rounding of the result to
        float64.
    """

    layout: Layout
    clients: int
    clip: float = 1.0
    fraction_bits: int = 16
    integer_limit: int = 0
    weight_limit: float | None = None
    weight_bits: int = 0
    beyond: Literal["refuse", "clip"] = "refuse"
    norm_bound: float | None = None

    def __post_init__(self) -> None:
        # Whatever number types a caller used, equal settings are equal, and have equal digests.
        for name in ("clients", "fraction_bits", "integer_limit", "weight_bits"):
            object.__setattr__(self, name, operator.index(getattr(self, name)))
        for name in ("clip", "weight_limit", "norm_bound"):
            object.__setattr__(self, name, None if getattr(self, name) is None else float(getattr(self, name)))
        if self.clients < 1:
            raise ConfigError(f"at least one client is summed, not {self.clients}")
        if not (math.isfinite(self.clip) and self.clip > 0):
            raise ConfigError(f"clip is a positive number, not {self.clip}")
        if not (0 <= self.fraction_bits <= _EXACT_BITS and 0 <= self.weight_bits <= _EXACT_BITS):
            raise ConfigError(f"fraction_bits and weight_bits lie between 0 and {_EXACT_BITS}")
        if self.weight_limit is not None and not (math.isfinite(self.weight_limit) and self._weight_most >= 1):
            raise ConfigError(f"weight_limit {self.weight_limit} is less than a weight's step 2**-{self.weight_bits}")
        if self.norm_bound is not None and not (math.isfinite(self.norm_bound) and self.norm_bound > 0):
            raise ConfigError(f"norm_bound is a positive number, not {self.norm_bound}")
        if self.beyond not in ("refuse", "clip"):
            raise ConfigError(f"beyond is 'refuse' or 'clip', not {self.beyond!r}")
        if self.integer_limit < 1 and not all(leaf.floating for leaf in self.layout.leaves):
            raise ConfigError("the tree holds integers, so that an integer_limit is needed")
        if self.layout.size == 0:
            raise ConfigError("the tree holds no numbers")
        if max(self._float_most, self._weight_most) >= 1 << _EXACT_BITS:
            raise ConfigError(
                f"clip {self.clip} with {self.fraction_bits} fraction bits, or the weights, take more than the {_EXACT_BITS} bits that a "
                "float64 rounds exactly. Lower fraction_bits, clip, weight_limit or weight_bits."
            )
        if self._most_bits > 64:
            raise ConfigError(
                f"a sum of {self.clients} clients takes {self._most_bits} bits, and a word has 64. Lower fraction_bits, clip, "
                "integer_limit or weight_limit."
            )

    @property
    def length(self) -> int:
        """Words of one client: one for each number, and one for the weight if there is one."""
        return self.layout.size + (self.weight_limit is not None)

    @property
    def width(self) -> int:
        """Bytes of a word: sums are taken modulo 256**width."""
        return -(-self._most_bits // 8)

    @property
    def word(self) -> np.dtype[Any]:
        """The type that holds a word in memory: uint32 up to four bytes, then uint64."""
        return np.dtype(np.uint32 if self.width <= 4 else np.uint64)

    @property
    def mean_error(self) -> float:
        """How far a float of the mean can be from the mean of what honest clients put in, where weights are whole
        steps.

        Half a step. A weight that is rounded moves the mean by at most 2 * clip * (clients / sum of weights) * half a
        step of the weight more. Numbers that were clipped count as what they were clipped to.
        """
        return 2.0 ** -(self.fraction_bits + 1)

    @property
    def norm_after_rounding(self) -> float | None:
        """What a norm bound becomes by rounding: bound + sqrt(number of floats) / 2 steps. None without a bound."""
        if self.norm_bound is None:
            return None
        floats = sum(leaf.size for leaf in self.layout.leaves if leaf.floating)
        return self.norm_bound + math.sqrt(floats) * self.mean_error

    def encode(self, tree: Any, weight: float | None = None) -> Words:
        """A client's words, shape (length,).

        Raises: ClipExceeded for numbers beyond their bounds, ShapeError and TypeMismatch for a tree of another layout.
        """
        values = self._leaves(tree)
        numbers = [
            self._whole(leaf, value) for leaf, value in zip(self.layout.leaves, self._within(values), strict=True)
        ]
        whole = np.concatenate(numbers)
        if self.weight_limit is not None:
            whole = np.append(whole, 1) * self._whole_weight(weight)
        elif weight is not None:
            raise ConfigError("a weight was given, but the encoding has no weight_limit")
        return whole.astype(np.uint64).astype(self.word) & _low(self.word, self.width)

    def decode(self, words: Words) -> tuple[list[NDArray[Any]], float]:
        """The sums of weighted leaves, float64 or int64, and the sum of weights (nan if there are none).

        Integers that were weighted with fractions are float64.
        """
        whole = _signed(words, self.width)
        weights = math.nan if self.weight_limit is None else float(whole[-1]) * 2.0**-self.weight_bits
        sums, begin = [], 0
        for leaf in self.layout.leaves:
            part = whole[begin : begin + leaf.size].reshape(leaf.shape)
            begin += leaf.size
            bits = (self.fraction_bits if leaf.floating else 0) + self.weight_bits
            sums.append(part * 2.0**-bits if bits or leaf.floating else part.copy())
        return sums, weights

    def within_reach(self, words: Words, clients: int) -> bool:
        """Whether honest clients, so many of them, can have reached this sum."""
        whole = _signed(words, self.width)
        floats = np.concatenate([np.full(leaf.size, leaf.floating) for leaf in self.layout.leaves])
        most = np.where(floats, self._float_most, self.integer_limit) * self._weight_most * clients
        values = whole[: floats.size]
        heavy = self.weight_limit is None or 0 <= int(whole[-1]) <= self._weight_most * clients
        return heavy and bool(((values <= most) & (values >= -most)).all())

    def pack(self, words: Words) -> bytes:
        """The words in `width` bytes each, little-endian."""
        return np.ascontiguousarray(words).view(np.uint8).reshape(-1, self.word.itemsize)[:, : self.width].tobytes()

    def unpack(self, data: bytes) -> Words:
        """The inverse. Raises: ShapeError for another length."""
        if len(data) != self.length * self.width:
            raise ShapeError(
                f"{self.length} words of {self.width} bytes are {self.length * self.width}, not {len(data)}"
            )
        words = np.zeros(self.length, self.word)
        words.view(np.uint8).reshape(-1, self.word.itemsize)[:, : self.width] = np.frombuffer(data, np.uint8).reshape(
            -1, self.width
        )
        return words

    def unflatten(self, leaves: Sequence[Any], like: Any) -> Any:
        """The leaves as a tree of the form of `like`."""
        from jax import tree_util

        self._leaves(like)
        return tree_util.tree_unflatten(tree_util.tree_structure(like), leaves)

    @cached_property
    def digest(self) -> bytes:
        """32 bytes that stand for this encoding and no other."""
        reals = [None if x is None else x.hex() for x in (self.clip, self.weight_limit, self.norm_bound)]
        counts = [self.clients, self.fraction_bits, self.integer_limit, self.weight_bits]
        leaves = [[leaf.path, list(leaf.shape), leaf.floating] for leaf in self.layout.leaves]
        settings = json.dumps([reals, counts, self.beyond, leaves], ensure_ascii=True)
        return hashlib.sha256(b"tacit.secagg.v1 encoding\0" + settings.encode()).digest()

    def _leaves(self, tree: Any) -> list[NDArray[Any]]:
        """The tree's arrays, if it is of this layout."""
        from jax import tree_util

        found = Layout.of(tree)
        if found != self.layout:
            raise ShapeError(_difference(self.layout, found))
        return [np.asarray(value) for value in tree_util.tree_leaves(tree)]

    def _within(self, values: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """The values within their bounds, floats as float64: clipped, or refused."""
        bounded = []
        for leaf, value in zip(self.layout.leaves, values, strict=True):
            limit: float = self.clip if leaf.floating else self.integer_limit
            held = value.astype(np.float64) if leaf.floating else value
            if leaf.floating and not np.isfinite(held).all():
                raise ClipExceeded(f"{_count(~np.isfinite(held))} of {leaf.size} numbers at {leaf.path} are not finite")
            outside = (held > limit) | (held < -limit)
            if outside.any() and self.beyond == "refuse":
                raise ClipExceeded(
                    f"{_count(outside)} of {leaf.size} numbers at {leaf.path} are beyond {limit:g}. Scale them, agree on a larger "
                    "bound, or on beyond='clip'."
                )
            if outside.any():
                # As Python integers, because a bound may be beyond the type of a small integer array.
                held = np.asarray(np.clip(held if leaf.floating else held.astype(object), -limit, limit))
            bounded.append(held)
        return self._of_bounded_norm(bounded)

    def _of_bounded_norm(self, values: list[NDArray[Any]]) -> list[NDArray[Any]]:
        if self.norm_bound is None:
            return values
        norm = math.sqrt(
            math.fsum(
                float(np.vdot(value, value))
                for leaf, value in zip(self.layout.leaves, values, strict=True)
                if leaf.floating
            )
        )
        if norm <= self.norm_bound:
            return values
        if self.beyond == "refuse":
            raise ClipExceeded(
                f"the norm of the floats is beyond {self.norm_bound:g}. Scale them, agree on a larger bound, or on beyond='clip'."
            )
        scale = self.norm_bound / norm
        return [
            value * scale if leaf.floating else value for leaf, value in zip(self.layout.leaves, values, strict=True)
        ]

    def _whole(self, leaf: Leaf, value: NDArray[Any]) -> NDArray[np.int64]:
        flat = value.reshape(-1)
        return np.rint(np.ldexp(flat, self.fraction_bits)).astype(np.int64) if leaf.floating else flat.astype(np.int64)

    def _whole_weight(self, weight: float | None) -> int:
        if self.weight_limit is None or weight is None:
            raise ConfigError("the encoding has a weight_limit, so that every client gives its weight")
        if not (math.isfinite(weight) and weight >= 0):
            raise ClipExceeded("a weight is finite and not negative")
        if weight > self.weight_limit:
            if self.beyond == "refuse":
                raise ClipExceeded(
                    f"the weight is beyond {self.weight_limit:g}. Agree on a larger bound, or on beyond='clip'."
                )
            weight = self.weight_limit
        return round(math.ldexp(weight, self.weight_bits))

    @property
    def _float_most(self) -> int:
        """The largest word of a float, before its weight."""
        return round(math.ldexp(self.clip, self.fraction_bits))

    @property
    def _weight_most(self) -> int:
        return 1 if self.weight_limit is None else round(math.ldexp(self.weight_limit, self.weight_bits))

    @property
    def _most_bits(self) -> int:
        """Bits of a modulus above every signed sum: 2**bits > 2 * clients * largest word."""
        floats = self._float_most if any(leaf.floating for leaf in self.layout.leaves) else 0
        integers = self.integer_limit if not all(leaf.floating for leaf in self.layout.leaves) else 0
        return (2 * self.clients * max(floats, integers, 1) * self._weight_most).bit_length()


def _leaf(path: str, value: NDArray[Any]) -> Leaf:
    # The 16-bit float of JAX is no subtype of NumPy's.
    floating = np.issubdtype(value.dtype, np.floating) or value.dtype.name == "bfloat16"
    if not (floating or np.issubdtype(value.dtype, np.integer)):
        raise TypeMismatch(f"{path or 'the value'} is of type {value.dtype.name}; floats and integers are summed")
    return Leaf(path, value.shape, bool(floating))


def _difference(wanted: Layout, found: Layout) -> str:
    """The first difference, in words."""
    if len(wanted.leaves) != len(found.leaves):
        return f"the tree has {len(found.leaves)} leaves, and {len(wanted.leaves)} were agreed on"
    one, other = next(pair for pair in zip(wanted.leaves, found.leaves, strict=True) if pair[0] != pair[1])
    return f"the tree has {_described(other)}, and {_described(one)} was agreed on"


def _described(leaf: Leaf) -> str:
    return f"{'floats' if leaf.floating else 'integers'} of shape {leaf.shape} at {leaf.path or 'its root'}"


def _signed(words: Words, width: int) -> NDArray[np.int64]:
    """Words modulo 256**width as numbers around zero."""
    spare = 8 * (words.dtype.itemsize - width)
    signed = np.dtype(np.int32 if words.dtype == np.uint32 else np.int64)
    return ((words << words.dtype.type(spare)).view(signed) >> signed.type(spare)).astype(np.int64)


def _low(word: np.dtype[Any], width: int) -> Any:
    return word.type((1 << 8 * width) - 1)


def _count(flags: NDArray[np.bool_]) -> int:
    return int(np.count_nonzero(flags))


# Below this a float64 holds the rounded number and a half exactly.
_EXACT_BITS = 50
