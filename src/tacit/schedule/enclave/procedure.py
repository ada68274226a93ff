"""The procedures by which a session uses enclaves. Each runs at one party and touches no other.

In order: every party `tee.keys`, and `tee.meet` with what the others announced; the host `tee.start`; owners and receivers
`tee.challenge`; the host `tee.attest`; owners and receivers `tee.verify`, `tee.approve`; owners `tee.seal`; the host
`tee.run`; receivers `tee.unseal`. Byte arrays are moved between the parties by others; who moves them need not be trusted,
but announcements must come over authenticated links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tacit.foundation.errors import ConfigError, InputError, JobRefused, SessionError
from tacit.primitive.tee import SIMULATION, Job, Policy
from tacit.resource.enclave import Launcher, SimulationRoot, attested_source, simulated_measurement
from tacit.schedule.enclave.host import Backend, Host, HostedEnclave, as_array, as_bytes
from tacit.schedule.enclave.party import TeeParty
from tacit.schedule.enclave.program import program_of
from tacit.schedule.procedure import Facts, PartyView, procedure

Result = tuple[Sequence[Any], Facts]


@procedure("tee.platform")
def tee_platform(view: PartyView, *, backend: Backend) -> Result:
    """At the host: what evidence its platform gives; for a simulation, the root and measurement a policy can pin.

    Raises: EvidenceUnavailable.
    """
    if backend == "simulation":
        host = _host(view)
        host.root = host.root or SimulationRoot.create()
        facts = {"assurance": "SIMULATED", "format": SIMULATION, "root": host.root.public}
        return [], {**facts, "measurement": simulated_measurement()}
    if backend != "attested":
        raise ConfigError(f"an enclave's backend is simulation or attested, not {backend!r}")
    source = attested_source()
    return [], {"assurance": source.assurance, "source": source.name}


@procedure("tee.start")
def tee_start(
    view: PartyView,
    *,
    enclave: str,
    session: str,
    policy: Mapping[str, Any],
    backend: Backend,
    launcher: Launcher = "python",
    deadline: float = 60.0,
    functions: Sequence[str] = (),
) -> Result:
    """At the host: start an enclave worker under a policy; facts are what it says of itself, to be verified.

    Raises: SessionError when one of this name runs, EvidenceUnavailable, ConfigError.
    """
    host = _host(view)
    if enclave in host.enclaves:
        raise SessionError(f"an enclave {enclave!r} runs at {view.name} already. Stop it, or choose another name")
    root = None
    if backend == "simulation":
        root = host.root = host.root or SimulationRoot.create()
    started = HostedEnclave.start(
        enclave,
        session,
        Policy.parse(policy),
        backend=backend,
        root=root,
        launcher=launcher,
        deadline=deadline,
        functions=functions,
    )
    host.enclaves[enclave] = started
    return [], started.hello


@procedure("tee.attest")
def tee_attest(view: PartyView, *, enclave: str, nonces: Mapping[str, str]) -> Result:
    """At the host: have the enclave answer the verifiers' nonces; gives its evidence (n,) uint8."""
    return [as_array(_host(view).enclave(enclave).attest(nonces))], {}


@procedure("tee.run")
def tee_run(view: PartyView, *, enclave: str, job: str, exported: bool = False) -> Result:
    """At the host: run a job on envelopes. Inputs: one envelope for each input; blobs: the program (uint8) if `exported`.

    job: canonical JSON, as text. Gives one envelope for each output and receiver, in the job's order.
    Raises: JobRefused, EnvelopeRefused, EnclaveError, PeerDied, PeerStalled, FrameOversized.
    """
    agreed = Job.parse(job.encode(errors="replace"))
    arrays = [as_bytes(array) for array in view.inputs]
    program = as_bytes(view.blobs[0]) if exported and view.blobs else None
    hosted = _host(view).enclave(enclave)
    view.ledger.append(
        "tee-run",
        enclave=enclave,
        assurance=agreed.assurance,
        job=agreed.digest,
        program=agreed.program.text,
        sealed=[len(array) for array in arrays],
    )
    results = hosted.run(agreed, program, arrays)
    routes = [[entry.name, party] for entry in agreed.outputs for party in entry.to]
    return [as_array(result) for result in results], {"assurance": agreed.assurance, "outputs": routes}


@procedure("tee.stop")
def tee_stop(view: PartyView, *, enclave: str) -> Result:
    """At the host: end an enclave; its keys and all that was sealed to it are lost."""
    host = _host(view)
    host.enclave(enclave).close()
    del host.enclaves[enclave]
    return [], {}


@procedure("tee.keys")
def tee_keys(view: PartyView, *, session: str) -> Result:
    """At an owner or receiver: its key pair for the session, made once; gives the announcement (n,) uint8.

    Raises: SessionError when it was made for another session.
    """
    party = view.state.get(PARTY)
    if party is None:
        party = view.state[PARTY] = TeeParty(view.name, session, view.ledger)
    if party.session != session:
        raise SessionError(f"{view.name} has keys for session {party.session}, not for {session}")
    return [as_array(party.announcement())], {"keys": party.public.text}


@procedure("tee.meet")
def tee_meet(view: PartyView, *, parties: Sequence[str]) -> Result:
    """At an owner or receiver: keep the announcements (inputs) that came from `parties`, in this order."""
    if len(parties) != len(view.inputs):
        raise InputError(f"{len(view.inputs)} announcements came for {len(parties)} parties")
    for name, announcement in zip(parties, view.inputs, strict=True):
        _party(view).meet(name, as_bytes(announcement))
    return [], {}


@procedure("tee.challenge")
def tee_challenge(view: PartyView, *, enclave: str) -> Result:
    """At an owner or receiver: draw a nonce for an enclave's evidence; it is public, answered once and within a minute."""
    return [], {"nonce": _party(view).challenge(enclave)}


@procedure("tee.verify")
def tee_verify(view: PartyView, *, enclave: str, policy: Mapping[str, Any]) -> Result:
    """At an owner or receiver: verify evidence (input) against a policy, keep the attested keys; facts are the verdict.

    Raises: EvidenceRefused with every reason, NoVerifier.
    """
    (evidence,) = view.inputs
    verdict = _party(view).verify(enclave, as_bytes(evidence), Policy.parse(policy))
    return [], verdict.document()


@procedure("tee.approve")
def tee_approve(view: PartyView, *, job: str, because: str) -> Result:
    """At an owner or receiver: check a job (canonical JSON, as text) and agree to it; facts hold its hash.

    because: why results leave, for the ledger. Blobs: the exported program (uint8), if this party wants to see that the job
    names it. Raises: JobRefused.
    """
    proposed = Job.parse(job.encode(errors="replace"))
    if view.blobs and program_of(as_bytes(view.blobs[0])) != proposed.program:
        raise JobRefused(f"{proposed!r} names another program than the one that {view.name} was shown")
    return [], {"job": _party(view).approve(proposed, because), "assurance": proposed.assurance}


@procedure("tee.seal")
def tee_seal(view: PartyView, *, job: str, name: str) -> Result:
    """At an owner: seal its value (input) as input `name` of the approved job of this hash; gives an envelope (n,) uint8."""
    (value,) = view.inputs
    return [as_array(_party(view).seal(job, name, np.asarray(value)))], {}


@procedure("tee.unseal")
def tee_unseal(view: PartyView, *, job: str, name: str) -> Result:
    """At a receiver: open the envelope (input) with output `name` of the approved job of this hash; gives the value."""
    (envelope,) = view.inputs
    party = _party(view)
    value = party.unseal(job, name, as_bytes(envelope))
    return [value], {"assurance": party.assurance(job)}


def _host(view: PartyView) -> Host:
    host = view.state.setdefault(HOST, Host())
    assert isinstance(host, Host)
    return host


def _party(view: PartyView) -> TeeParty:
    party = view.state.get(PARTY)
    if not isinstance(party, TeeParty):
        raise SessionError(f"{view.name} has no keys for enclaves yet: tee.keys comes first")
    return party


HOST = "tee.host"
PARTY = "tee.party"
