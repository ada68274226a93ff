"""Identities for a session whose parties all run on this machine: made at its start, gone at its end."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, final

from tacit.foundation.errors import ConfigError
from tacit.resource.identity.identity import Identity
from tacit.resource.identity.trust import TrustStore


@final
class LocalAuthority:
    """Makes an identity for each of `parties` in a temporary folder that only this user can read.

    Each party has its own folder with its key, its certificate and the certificates of all; no party needs to read
    another's. Use as a context manager, or call `close`: it removes the folder.

    Raises: ConfigError when a name is used twice or cannot name a party.
    """

    def __init__(self, parties: Iterable[str], *, days: float = 2.0) -> None:
        names = list(parties)
        if len(set(names)) != len(names):
            raise ConfigError(f"party names must differ, got {', '.join(names)}")
        identities = [Identity.create(name, days=days) for name in names]
        self._trust = TrustStore.of(identities)
        self._folder = Path(tempfile.mkdtemp(prefix="tacit-"))
        for identity in identities:
            identity.save(self.folder(identity.name))
            self._trust.save(self.folder(identity.name) / TRUST_FOLDER)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def trust(self) -> TrustStore:
        """The certificates of all parties."""
        return self._trust

    def folder(self, party: str) -> Path:
        """Return the folder of one party, for `credentials`."""
        return self._folder / party

    def close(self) -> None:
        """Remove all keys and certificates. Idempotent."""
        shutil.rmtree(self._folder, ignore_errors=True)


def credentials(folder: Path) -> tuple[Identity, TrustStore]:
    """Load a party's identity and the certificates it trusts from its own folder. Raises what their `load` raises."""
    return Identity.load(folder), TrustStore.load(folder / TRUST_FOLDER)


TRUST_FOLDER: Final = "trust"
