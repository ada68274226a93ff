"""An enclave as its host sees it: started, asked, ended. All that passes here is public or sealed."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, final

import numpy as np

from tacit.foundation.errors import ConfigError, EnclaveError, SessionError
from tacit.primitive.tee import Job, Policy
from tacit.resource.enclave import EnclaveProcess, Launcher, LineLimits, SimulationRoot
from tacit.schedule.failure import rebuild

Backend = Literal["simulation", "attested"]


@final
class HostedEnclave:
    """One enclave worker of this host."""

    def __init__(self, process: EnclaveProcess, hello: Mapping[str, Any]) -> None:
        self.process = process
        self.hello = dict(hello)

    @classmethod
    def start(
        cls,
        name: str,
        session: str,
        policy: Policy,
        *,
        backend: Backend,
        root: SimulationRoot | None = None,
        launcher: Launcher = "python",
        deadline: float = 60.0,
        limits: LineLimits | None = None,
        functions: Sequence[str] = (),
    ) -> HostedEnclave:
        """Start an enclave worker.

        root: signs for a simulated enclave, and is given to that only. functions: modules of the library whose enclave
        functions it offers besides its own. deadline: seconds that any question may take.

        Raises: EvidenceUnavailable when `attested` is asked for and the platform gives no evidence; ConfigError.
        """
        if backend not in ("simulation", "attested"):
            raise ConfigError(f"an enclave's backend is simulation or attested, not {backend!r}")
        if (backend == "simulation") != (root is not None):
            raise ConfigError("a simulated enclave needs a simulation root, and an attested one takes none")
        fields = {
            "backend": backend,
            "enclave": name,
            "functions": list(functions),
            "parent_thread_lives": threading.current_thread() is threading.main_thread(),
            "policy": policy.document(),
            "session": session,
        }
        process = EnclaveProcess.start(name, WORKER, launcher=launcher, deadline=deadline, limits=limits)
        try:
            hello, _ = _ask(process, "start", fields, [] if root is None else [root.secret()])
        except BaseException:
            process.close()
            raise
        return cls(process, hello)

    def attest(self, nonces: Mapping[str, str]) -> bytes:
        """Evidence that answers these verifiers' nonces."""
        _, blobs = _ask(self.process, "attest", {"nonces": dict(nonces)}, [])
        return _count(blobs, 1)[0]

    def run(self, job: Job, program: bytes | None, envelopes: Sequence[bytes]) -> list[bytes]:
        """Run a job; the sealed results, one for each output and receiver in the job's order."""
        head = [job.to_bytes()] if program is None else [job.to_bytes(), program]
        _, blobs = _ask(self.process, "run", {"exported": program is not None}, [*head, *envelopes])
        return _count(blobs, sum(len(entry.to) for entry in job.outputs))

    def close(self) -> None:
        """End the enclave; its keys are gone. Idempotent."""
        self.process.close()

    def __repr__(self) -> str:
        return f"HostedEnclave({self.hello.get('assurance')}, {self.process.name})"


@dataclass(slots=True)
class Host:
    """What a host keeps from call to call: its enclaves, and the root of the simulated ones."""

    enclaves: dict[str, HostedEnclave] = field(default_factory=dict)
    root: SimulationRoot | None = None

    def enclave(self, name: str) -> HostedEnclave:
        """A started enclave. Raises EnclaveError when there is none of this name."""
        try:
            return self.enclaves[name]
        except KeyError:
            raise EnclaveError(f"no enclave {name!r} runs here; started are {sorted(self.enclaves)}") from None


def as_bytes(array: np.ndarray) -> bytes:
    """A byte array that a party moved here. Raises SessionError for anything else."""
    if not isinstance(array, np.ndarray) or array.dtype != np.uint8 or array.ndim != 1:
        raise SessionError("what came is no array of bytes")
    return array.tobytes()


def as_array(data: bytes) -> np.ndarray:
    """Bytes as an array (n,) of uint8, in which form they are moved."""
    return np.frombuffer(data, np.uint8)


def _ask(
    process: EnclaveProcess, kind: str, fields: Mapping[str, Any], blobs: Sequence[bytes]
) -> tuple[dict[str, Any], list[bytes]]:
    answer, told, arrays = process.ask(kind, fields, blobs)
    if answer == "error":
        raise rebuild(f"enclave {process.name}", told).error
    return told, arrays


def _count(blobs: list[bytes], count: int) -> list[bytes]:
    if len(blobs) != count:
        raise SessionError(f"the enclave answered {len(blobs)} blobs where {count} were due")
    return blobs


WORKER: Final = "tacit.schedule.enclave.worker"
