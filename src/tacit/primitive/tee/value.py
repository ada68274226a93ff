"""Arrays as bytes: what may travel in an envelope, and how it is read back."""

from __future__ import annotations

from math import prod
from typing import Final

import numpy as np

from tacit.foundation.errors import EnvelopeRefused, InputError


def check_header(dtype: object, shape: object) -> int:
    """Bytes of an array of this type and shape. Raises InputError when it may not travel."""
    if dtype not in DTYPES:
        raise InputError(f"arrays of type {dtype!r} do not travel to an enclave; these do: {', '.join(sorted(DTYPES))}")
    if not isinstance(shape, (list, tuple)) or len(shape) > MAX_AXES:
        raise InputError(f"a shape is a list of at most {MAX_AXES} extents")
    if not all(type(extent) is int and 0 <= extent <= MAX_BYTES for extent in shape):
        raise InputError(f"extents of a shape are integers from 0 to {MAX_BYTES}")
    size = prod(shape) * np.dtype(str(dtype)).itemsize
    if size > MAX_BYTES:
        raise InputError(f"an array of {size} bytes exceeds the {MAX_BYTES} that an envelope can hold. Split it")
    return size


def to_bytes(value: np.ndarray) -> memoryview:
    """The elements in C order. Raises InputError for types that may not travel."""
    check_header(value.dtype.str, value.shape)
    return np.ascontiguousarray(value).reshape(-1).view(np.uint8).data


def from_bytes(data: bytes, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read what `to_bytes` gave. Raises EnvelopeRefused unless length and content fit the type and shape."""
    if len(data) != check_header(dtype, shape):
        raise EnvelopeRefused(f"{len(data)} bytes are no {dtype} array of shape {list(shape)}")
    if dtype == "|b1" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise EnvelopeRefused("an array of booleans holds other bytes than 0 and 1")
    return np.frombuffer(data, np.dtype(dtype)).reshape(shape).copy()


DTYPES: Final = frozenset({"<f8", "<f4", "<i8", "<i4", "<u8", "|u1", "|b1"})
MAX_AXES: Final = 32
MAX_BYTES: Final = 1 << 34
