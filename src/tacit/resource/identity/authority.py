"""Identities for a session whose parties all run on this machine: made at its start, gone at its end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from tacit.foundation.errors import ConfigError
from tacit.resource.identity.identity import Identity
from tacit.resource.identity.trust import TrustStore


@final
class LocalAuthority:
    """The identities of all parties of a local session, as files below `folder`.

    `folder/NAME` holds the key and the certificate of one party, `folder/trust` the certificates of all. As a context
    manager it removes `folder` at the end.
    """

    def __init__(self, folder: Path, trust: TrustStore) -> None:
        self.folder = folder
        self.trust = trust

    @classmethod
    def create(cls, folder: Path, parties: Sequence[str], *, days: float = 2.0) -> Self:
        """Make an identity for each of `parties` in `folder`, which only this user should be able to read.

        Raises: ConfigError when a name is used twice or cannot name a party.
        """
        if len(set(parties)) != len(parties) or TRUST_FOLDER in parties:
            raise ConfigError(f"parties must differ, and none may be called {TRUST_FOLDER!r}; got {', '.join(parties)}")
        identities = [Identity.create(name, days=days) for name in parties]
        trust = TrustStore.of(identities)
        for identity in identities:
            identity.save(folder / identity.name)
        trust.save(folder / TRUST_FOLDER)
        return cls(folder, trust)

    @classmethod
    def temporary(cls, parties: Sequence[str], *, days: float = 2.0) -> Self:
        """Make the identities in a new temporary folder. Raises what `create` raises."""
        folder = Path(tempfile.mkdtemp(prefix="tacit-"))
        try:
            return cls.create(folder, parties, days=days)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def identity(self, party: str) -> Identity:
        """Load the identity of one party. Raises what `Identity.load` raises."""
        return Identity.load(self.folder / party)

    def close(self) -> None:
        """Remove all keys and certificates. Idempotent."""
        shutil.rmtree(self.folder, ignore_errors=True)


TRUST_FOLDER: Final = "trust"
