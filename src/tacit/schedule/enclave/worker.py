"""An enclave's process: `python -I -m tacit.schedule.enclave.worker`, on its own or under Gramine or Occlum.

It takes commands from standard input and answers on standard output, and knows no other peer. It runs what
`tacit.schedule.enclave.core` allows; it never unpickles anything.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Final

from tacit.foundation.errors import EnclaveError, PeerDied, SessionError, TacitError
from tacit.primitive.tee import Policy
from tacit.primitive.tee.canonical import is_hex, is_name
from tacit.resource.enclave import (
    EnclaveLine,
    EvidenceSource,
    SimulationRoot,
    SimulationSource,
    attested_source,
    die_with,
    harden,
    simulated_measurement,
    take_line,
)
from tacit.schedule.enclave.core import Enclave
from tacit.schedule.procedure import install


def main() -> None:
    """Serve one host until it closes the line. Exit status 0 in good order, 1 after an error that was reported."""
    reading, writing = take_line()
    line = EnclaveLine(reading, writing, "the host")
    try:
        fields, blobs = begin(line)
        measures = harden(
            parent_thread_lives=fields.get("parent_thread_lives") is True, required=fields.get("backend") != "attested"
        )
        die_with(reading)
        enclave = start(fields, blobs)
        line.send(line.pack("answer", {**enclave.hello, "hardening": measures}), deadline=SEND_SECONDS)
        serve(line, enclave)
    except PeerDied:
        return
    except Exception as error:  # noqa: BLE001  whatever it is: the host is told its kind, and this enclave is over
        report(line, error)
        sys.exit(1)


def begin(line: EnclaveLine) -> tuple[dict[str, Any], list[bytes]]:
    """The host's first message."""
    kind, fields, blobs = line.receive(deadline=START_SECONDS)
    if kind != "start":
        raise SessionError(f"an enclave begins with start, not with {kind!r}")
    return fields, blobs


def start(fields: dict[str, Any], blobs: Sequence[bytes]) -> Enclave:
    """The enclave that the host asks for. Raises SessionError, ConfigError, EvidenceUnavailable."""
    name, session, backend = fields.get("enclave"), fields.get("session"), fields.get("backend")
    functions = fields.get("functions")
    if not is_name(name) or not is_hex(session, 8) or not isinstance(functions, list):
        raise SessionError("an enclave starts with a name, a session of 8 bytes in hex, and a list of modules")
    policy = Policy.parse(fields.get("policy"))
    install(map(str, functions))
    source: EvidenceSource
    if backend == "simulation" and len(blobs) == 1:
        source = SimulationSource(SimulationRoot.of_secret(blobs[0]), simulated_measurement())
    elif backend == "attested" and not blobs:
        source = attested_source()
    else:
        raise SessionError("an enclave's backend is simulation, with a root's key, or attested")
    return Enclave(str(name), str(session), policy, source)


def serve(line: EnclaveLine, enclave: Enclave) -> None:
    """Answer questions one by one. What is refused is reported, and the enclave goes on; a broken line ends it."""
    while True:
        kind, fields, blobs = line.receive(deadline=IDLE_SECONDS)
        try:
            answers = answer(enclave, kind, fields, blobs)
            message = line.pack("answer", {}, answers)
        except Exception as error:  # noqa: BLE001  a refusal of any kind goes to the host, as its kind and our own text
            report(line, error)
            continue
        line.send(message, deadline=SEND_SECONDS)


def answer(enclave: Enclave, kind: str, fields: dict[str, Any], blobs: list[bytes]) -> list[bytes]:
    """Do what one question asks."""
    if kind == "attest":
        nonces = fields.get("nonces")
        if not isinstance(nonces, dict):
            raise SessionError("attest takes the nonces of the verifiers by name")
        return [enclave.attest(nonces)]
    if kind == "run" and blobs:
        exported = fields.get("exported") is True
        program = blobs[1] if exported and len(blobs) > 1 else None
        return enclave.run(blobs[0], program, blobs[2 if exported else 1 :])
    raise SessionError(f"an enclave knows no question {kind!r} with {len(blobs)} blobs")


def report(line: EnclaveLine, error: Exception) -> None:
    """Tell the host what went wrong: text only of errors of our own, which hold no data."""
    kind = type(error) if isinstance(error, TacitError) else EnclaveError
    text = str(error) if isinstance(error, TacitError) else f"the enclave failed with {type(error).__name__}"
    fields = {"type": kind.__name__, "message": text, "fatal": False}
    line.send(line.pack("error", fields), deadline=SEND_SECONDS)


START_SECONDS: Final = 30.0
SEND_SECONDS: Final = 600.0
IDLE_SECONDS: Final = 86_400.0
"""How long an enclave waits for its host's next question; it ends at once when the host does."""


if __name__ == "__main__":
    main()
