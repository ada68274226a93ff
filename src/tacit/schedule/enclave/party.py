"""A party that seals to enclaves and opens what they seal to it: its keys, whom it believes, and what it agreed to."""

from __future__ import annotations

import hmac
import threading
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from tacit.foundation.errors import EnclaveError, EvidenceRefused, InputError, JobRefused, SessionError, UnknownParty
from tacit.foundation.ledger import Ledger
from tacit.primitive.tee import (
    Assurance,
    Attested,
    Expectation,
    Job,
    NonceBook,
    Policy,
    PrivateKeys,
    PublicKeys,
    ReplayGuard,
    Route,
    Verdict,
    seal,
    unseal,
    verify_evidence,
)
from tacit.primitive.tee.canonical import canonical, is_hex, is_name, parse_canonical
from tacit.schedule.enclave.core import check_policy


@dataclass(frozen=True, slots=True)
class Trusted:
    """An enclave whose evidence this party verified, and the policy it met."""

    attested: Attested
    policy: Policy


@final
class TeeParty:
    """One party's side of every enclave of one session.

    Nothing is sealed before the enclave's evidence met the policy and the job was approved; every step that lets data
    out or in is in the ledger before it is done.
    """

    def __init__(self, name: str, session: str, ledger: Ledger) -> None:
        if not is_name(name) or not is_hex(session, 8):
            raise SessionError("a party's keys are made for a name and a session of 8 bytes in hex")
        self.name = name
        self.session = session
        self.ledger = ledger
        self._keys = PrivateKeys.generate()
        self._nonces = NonceBook()
        self._peers: dict[str, PublicKeys] = {name: self._keys.public}
        self._trusted: dict[str, Trusted] = {}
        self._jobs: dict[str, Job] = {}
        self._sealed = ReplayGuard()
        self._opened = ReplayGuard()
        self._lock = threading.Lock()

    @property
    def public(self) -> PublicKeys:
        """This party's public keys of the session."""
        return self._keys.public

    def announcement(self) -> bytes:
        """This party's public keys, to be moved to every other party over the links between them."""
        return canonical({"keys": self.public.text, "party": self.name, "session": self.session})

    def meet(self, party: str, announcement: bytes) -> None:
        """Keep the keys of `party`, from whom the announcement came over an authenticated link.

        Raises: SessionError when it is another party's or session's, or differs from what the party said before.
        """
        said = parse_canonical(announcement, f"the announcement of {party}", limit=4096, refuse=EnclaveError)
        if said.keys() != {"keys", "party", "session"} or said["party"] != party or said["session"] != self.session:
            raise SessionError(f"what {party} announced is not its keys of this session")
        keys = PublicKeys.parse(said["keys"])
        if self._peers.setdefault(party, keys) != keys:
            raise SessionError(f"{party} announced other keys before; it was restarted, or somebody poses as it")

    def challenge(self, enclave: str) -> str:
        """A nonce that the enclave's evidence must hold, within a minute."""
        return self._nonces.issue(enclave)

    def verify(self, enclave: str, evidence: bytes, policy: Policy) -> Verdict:
        """Verify evidence, and trust the enclave's keys from now on if it met the policy. The verdict is in the ledger.

        Raises: EvidenceRefused with every reason, NoVerifier.
        """
        expectation = Expectation(self.name, enclave, self.session)
        self._trusted.pop(enclave, None)
        try:
            verdict = verify_evidence(evidence, policy, expectation, self._nonces)
        except EnclaveError as error:
            self.ledger.append("tee-verify", enclave=enclave, outcome="refused", refusals=[type(error).__name__])
            raise
        self.ledger.append(
            "tee-verify",
            enclave=enclave,
            assurance=verdict.claims.assurance,
            outcome=verdict.outcome,
            refusals=list(verdict.refusals),
            measurement=verdict.claims.measurement,
            policy=policy.digest,
            keys=verdict.binding.keys.fingerprint,
        )
        self._trusted[enclave] = Trusted(verdict.require(), policy)
        return verdict

    def trusted(self, enclave: str) -> Trusted:
        """An enclave that this party verified. Raises EvidenceRefused when it did not."""
        try:
            return self._trusted[enclave]
        except KeyError:
            raise EvidenceRefused(
                f"{self.name} has no verified evidence of enclave {enclave!r}. Verify it first"
            ) from None

    def approve(self, job: Job, because: str) -> str:
        """Agree to a job, and write into the ledger who learns what by it, and why. Returns the job's hash.

        Raises: JobRefused when it is for another enclave or policy than was verified, shows other keys of a party than that
        party announced, or is not allowed by the policy; UnknownParty for a party that has not announced its keys.
        """
        trusted = self.trusted(job.enclave)
        binding = trusted.attested.binding
        for what, wanted, got in (
            ("session", binding.session, job.session),
            ("keys", binding.keys.text, job.keys.text),
            ("policy", binding.policy, job.policy),
            ("assurance", trusted.attested.assurance, job.assurance),
        ):
            if not hmac.compare_digest(wanted, got):
                raise JobRefused(f"{job!r} is not for the enclave that {self.name} verified: its {what} is another")
        if self.name not in job.parties:
            raise JobRefused(f"{self.name} neither gives nor gets anything in {job!r}")
        for party, keys in job.parties.items():
            if party not in self._peers:
                raise UnknownParty(
                    f"{party} has not announced its keys to {self.name}, so they cannot be checked", peer=party
                )
            if self._peers[party] != keys:
                raise JobRefused(f"{job!r} shows other keys of {party} than {party} announced: results would go astray")
        check_policy(job, trusted.policy)
        self.ledger.append("tee-approve", job=job.digest, because=because, **_terms(job))
        self._jobs[job.digest] = job
        return job.digest

    def seal(self, job: str, name: str, value: np.ndarray) -> bytes:
        """Seal this party's input to the enclave of an approved job; once for each input of a job.

        Reveals: to the host, the input's name, shape and dtype; to the receivers, what the program gives of it.
        Raises: JobRefused, InputError for a value that is not what the job says, EnvelopeReplayed the second time.
        """
        agreed = self._approved(job)
        entry = agreed.input(name)
        if entry.owner != self.name:
            raise JobRefused(f"input {name} of {agreed!r} is {entry.owner}'s, not {self.name}'s")
        if (value.dtype.str, value.shape) != (entry.dtype, entry.shape):
            raise InputError(
                f"{name} is a {value.dtype.str} array of shape {list(value.shape)}; the job that was agreed on says "
                f"{entry.dtype} of shape {list(entry.shape)}"
            )
        route = Route.of_input(agreed, name)
        with self._lock:
            self._sealed.check(route)
            self.ledger.append("tee-seal", what=name, shape=list(entry.shape), job=job, **_terms(agreed))
            self._sealed.admit(route)
        return seal(value, route, self._keys)

    def unseal(self, job: str, name: str, envelope: bytes) -> np.ndarray:
        """Open an output of an approved job that is sealed to this party; once.

        Raises: JobRefused, EnvelopeRefused, EnvelopeReplayed.
        """
        agreed = self._approved(job)
        route = Route.of_output(agreed, name, self.name)
        with self._lock:
            self._opened.check(route)
            value = unseal(envelope, route, self._keys)
            self.ledger.append("tee-unseal", what=name, shape=list(value.shape), job=job, **_terms(agreed))
            self._opened.admit(route)
        return value

    def assurance(self, job: str) -> Assurance:
        """SIMULATED or ATTESTED: what an approved job's enclave is worth."""
        return self._approved(job).assurance

    def _approved(self, job: str) -> Job:
        try:
            return self._jobs[job]
        except KeyError:
            raise JobRefused(f"{self.name} has not approved job {job[:16]}. Approve it first") from None

    def __repr__(self) -> str:
        return f"TeeParty({self.name}, {self.public!r})"


def _terms(job: Job) -> dict[str, Any]:
    """Who learns what by a job, for the ledger."""
    return {
        "enclave": job.enclave,
        "assurance": job.assurance,
        "program": job.program.text,
        "params": dict(job.program.params),
        "inputs": {entry.name: entry.owner for entry in job.inputs},
        "outputs": {entry.name: list(entry.to) for entry in job.outputs},
        "host_sees": "the job, names, shapes and sizes, timing, the kind of an error"
        + ("; all values, if it reads the SIMULATED enclave's memory" if job.assurance == "SIMULATED" else ""),
    }
