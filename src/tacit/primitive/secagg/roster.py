"""Who takes part: names with the identity keys that sign for them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tacit.foundation.errors import ConfigError, MessageRepeated, UnknownParty

SIGNATURE_BYTES = 64
IDENTITY_BYTES = 32


@final
class Identity:
    """A client's name and its Ed25519 signing key, kept for many aggregations.

    It remembers, while it lives, the aggregations that it took part in, and refuses to begin one twice: two answers in
    the same round of one aggregation would be masked alike. Whoever stores the key over restarts must see to that
    itself.
    """

    __slots__ = ("_key", "_lock", "_spent", "name", "public")

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self.name = name
        self.public = key.public_key().public_bytes_raw()
        self._key = key
        self._spent: set[bytes] = set()
        self._lock = threading.Lock()

    @classmethod
    def generate(cls, name: str) -> Identity:
        """A new identity, from the operating system's entropy."""
        return cls(name, Ed25519PrivateKey.generate())

    def sign(self, statement: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(statement)

    def spend(self, occasion: bytes) -> None:
        """Take part in this aggregation, once. Raises: MessageRepeated the second time."""
        with self._lock:
            if occasion in self._spent:
                raise MessageRepeated(
                    "this aggregation was begun before with the same identity. Give every aggregation of a session a number "
                    "of its own.",
                    client=self.name,
                )
            self._spent.add(occasion)

    def __repr__(self) -> str:
        return f"Identity({self.name!r}, <key hidden>)"


@final
@dataclass(frozen=True)
class Roster:
    """All clients of an aggregation, in an order that everybody has alike: a client's index is its place here."""

    names: tuple[str, ...]
    keys: tuple[bytes, ...]

    @classmethod
    def of(cls, identities: Iterable[Identity]) -> Roster:
        """The roster of these identities, for parties in one process."""
        listed = tuple(identities)
        return cls(tuple(one.name for one in listed), tuple(one.public for one in listed))

    def __post_init__(self) -> None:
        if len(self.names) != len(self.keys):
            raise ConfigError(f"{len(self.names)} names and {len(self.keys)} keys: a roster has one key for each name")
        for kind, held in (("name", self.names), ("key", self.keys)):
            if len(set(held)) != len(held):
                raise ConfigError(f"the roster has {len(held) - len(set(held))} repeated {kind}s of {len(held)}")
        if not all(0 < len(name.encode()) < _NAME_LIMIT for name in self.names):
            raise ConfigError(f"a name has between 1 and {_NAME_LIMIT - 1} bytes")
        if not all(len(key) == IDENTITY_BYTES for key in self.keys):
            raise ConfigError(f"an Ed25519 public key has {IDENTITY_BYTES} bytes")

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """A client's place. Raises: UnknownParty."""
        try:
            return self._places[name]
        except KeyError:
            raise UnknownParty(f"{name!r} is none of the {len(self)} clients of this aggregation", peer=name) from None

    def signed(self, index: int, statement: bytes, signature: bytes) -> bool:
        """Whether this client signed this statement."""
        try:
            Ed25519PublicKey.from_public_bytes(self.keys[index]).verify(signature, statement)
        except (InvalidSignature, ValueError):
            return False
        return True

    def encoded(self) -> bytes:
        """The roster as bytes, injectively."""
        names = (name.encode() for name in self.names)
        return b"".join(
            len(name).to_bytes(2, "little") + name + key for name, key in zip(names, self.keys, strict=True)
        )

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}


_NAME_LIMIT = 256
