"""SIMULATED evidence: for tests and for building without hardware. It protects nothing from the host.

The process measures itself, and a root key that lies with the host signs. So it shows that all parties run the same
code and policy as long as the host is honest, and nothing more.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Final, Literal, NoReturn, Self, final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tacit.foundation.errors import ConfigError, InputError, SecrecyError


@final
class SimulationRoot:
    """The key that signs for simulated enclaves, in place of a manufacturer's. Policies pin `public`."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw().hex()

    @classmethod
    def create(cls) -> Self:
        """A new root from the operating system's entropy."""
        return cls(Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """64 bytes of Ed25519."""
        return self._key.sign(message)

    def secret(self) -> bytes:
        """The private key's 32 bytes, for the enclave's process only."""
        return self._key.private_bytes_raw()

    @classmethod
    def of_secret(cls, secret: bytes) -> Self:
        """Read what `secret` gives. Raises InputError for another length."""
        if len(secret) != 32:
            raise InputError(f"a simulation root's key has 32 bytes, got {len(secret)}")
        return cls(Ed25519PrivateKey.from_private_bytes(secret))

    def save(self, path: Path) -> None:
        """Write the key, readable by its user only. Raises FileExistsError rather than overwrite one."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"tacit SIMULATED root 1 {self.secret().hex()}\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises ConfigError when it is missing, damaged, or open to others."""
        try:
            with path.open("r", encoding="ascii") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                text = file.read(1024)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path.name} cannot be read as a simulation root: {type(error).__name__}") from None
        if mode & 0o077:
            raise ConfigError(f"{path.name} has mode {mode:04o}, open to others. Make a new simulation root")
        found = FILE.fullmatch(text)
        if found is None:
            raise ConfigError(f"{path.name} holds no simulation root. Make one with SimulationRoot.create")
        return cls.of_secret(bytes.fromhex(found[1]))

    def __repr__(self) -> str:
        return f"SimulationRoot(SIMULATED, {self.public[:16]}…)"

    def __reduce__(self) -> NoReturn:
        raise SecrecyError("a simulation root is not copied; save it to a file of its own")


@final
class SimulationSource:
    """Signs whatever this process says of itself."""

    assurance: Literal["SIMULATED"] = "SIMULATED"
    name = "simulation"

    def __init__(self, root: SimulationRoot, measurement: str) -> None:
        self._root = root
        self.measurement = measurement

    def quote(self, report_data: bytes) -> bytes:
        """SIMULATED evidence over 64 bytes."""
        if len(report_data) != 64:
            raise InputError(f"report data has 64 bytes, got {len(report_data)}")
        document = {
            "assurance": "SIMULATED",
            "debug": False,
            "measurement": self.measurement,
            "report_data": report_data.hex(),
            "root": self._root.public,
        }
        signed = MAGIC + json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        return signed + self._root.sign(signed)

    def __repr__(self) -> str:
        return "SimulationSource(SIMULATED)"


def simulated_measurement() -> str:
    """SHA-384 in hex over this installation: every Python file of the package, its compiled kernels, and the versions
    of what it computes with. Parties who run the same installation get the same.
    """
    package = importlib.util.find_spec("tacit")
    assert package is not None
    assert package.submodule_search_locations is not None
    root = Path(package.submodule_search_locations[0])
    state = hashlib.sha384(b"tacit simulated measurement 1\0")
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    native = importlib.util.find_spec("tacit._native")
    if native is not None and native.origin is not None:
        files["_native"] = Path(native.origin)
    for name, path in sorted(files.items()):
        state.update(f"{name}\0".encode() + hashlib.sha384(path.read_bytes()).digest())
    for dependency in MEASURED:
        state.update(f"{dependency} {importlib.metadata.version(dependency)}\0".encode())
    state.update(f"python {sys.version}\0".encode())
    return state.hexdigest()


MAGIC: Final = b"SIMULATED enclave evidence 1: protects nothing\n"
FILE: Final = re.compile(r"tacit SIMULATED root 1 ([0-9a-f]{64})\n")
MEASURED: Final = ("numpy", "jax", "jaxlib", "cryptography")
