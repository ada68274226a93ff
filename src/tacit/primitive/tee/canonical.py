"""One byte string for each document: canonical JSON, so that two parties who hash the same document get the same hash."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from tacit.foundation.errors import EnclaveError, InputError


def canonical(document: Mapping[str, Any]) -> bytes:
    """Encode as JSON with sorted names, no spaces and no NaN. Raises InputError for what is no JSON."""
    try:
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"this cannot be written as canonical JSON: {error}") from None
    return text.encode("ascii")


def parse_canonical(data: bytes, what: str, *, limit: int, refuse: type[EnclaveError]) -> dict[str, Any]:
    """Read an object that somebody else sent, and only if it is written as `canonical` would.

    Raises: `refuse` when it is longer than `limit` bytes, no JSON object, or written in another way.
    """
    if len(data) > limit:
        raise refuse(f"{what} has {len(data)} bytes; at most {limit} are accepted")
    try:
        document = json.loads(data)
        if isinstance(document, dict) and canonical(document) == data:
            return document
    except (ValueError, RecursionError):
        pass
    raise refuse(f"{what} of {len(data)} bytes is not a canonical JSON object; was it changed on its way?")


def digest(domain: str, *parts: bytes) -> str:
    """SHA-256 in hex over `domain` and `parts`, each preceded by its length."""
    state = hashlib.sha256()
    for part in (domain.encode(), *parts):
        state.update(len(part).to_bytes(8, "big") + part)
    return state.hexdigest()


def is_name(text: object) -> bool:
    """Whether this can name a party, an enclave, an input or a function."""
    return isinstance(text, str) and NAME.fullmatch(text) is not None


def is_hex(text: object, size: int) -> bool:
    """Whether this is `size` bytes in lower-case hex."""
    return isinstance(text, str) and len(text) == 2 * size and HEX.fullmatch(text) is not None


NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
HEX = re.compile(r"[0-9a-f]*")
