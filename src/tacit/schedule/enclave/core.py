"""What runs inside an enclave: it makes keys, has them attested, and runs jobs whose owners agreed to them.

Threat model: the host sends any command with any content, in any order, as often as it likes. It cannot read the
enclave's memory if the platform keeps what it promises; a SIMULATED enclave has no such platform.
Functionality: results of a job go, sealed, to its receivers, if the owner of every input sealed it for exactly this job.
Leakage, to the host: the job, the program, shapes, dtypes, sizes of results, timing, and the kind of an error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, final

from tacit.foundation.errors import EnclaveError, EnvelopeRefused, EvidenceRefused, JobRefused
from tacit.primitive.tee import Binding, Job, Policy, PrivateKeys, ReplayGuard, Route, pack_evidence, seal, unseal
from tacit.resource.enclave.source import EvidenceSource
from tacit.schedule.enclave.program import prepare_program, run_program


@final
class Enclave:
    """One enclave worker: keys of its own, made at its start and gone with it, and the policy that it enforces."""

    def __init__(self, name: str, session: str, policy: Policy, source: EvidenceSource) -> None:
        self.name = name
        self.session = session
        self.policy = policy
        self.source = source
        self._keys = PrivateKeys.generate()
        self._nonces: set[str] = set()
        self._spent: set[str] = set()
        self._guard = ReplayGuard()

    @property
    def hello(self) -> dict[str, Any]:
        """What it says of itself; believed by nobody before it is attested."""
        return {
            "assurance": self.source.assurance,
            "enclave": self.name,
            "keys": self._keys.public.text,
            "policy": self.policy.digest,
            "session": self.session,
            "source": self.source.name,
        }

    def attest(self, nonces: Mapping[str, str]) -> bytes:
        """Evidence for the verifiers who sent these nonces. Raises EvidenceRefused for a nonce that was used before."""
        if used := self._nonces.intersection(nonces.values()):
            raise EvidenceRefused(
                f"{len(used)} of the nonces were answered before: a verifier draws a new one each time"
            )
        if len(self._nonces) + len(nonces) > MAX_NONCES:
            raise EnclaveError(
                f"this enclave has answered {len(self._nonces)} challenges and takes no more. Restart it"
            )
        binding = Binding(self.name, self.session, self._keys.public, nonces, self.policy.digest)
        quote = self.source.quote(binding.report_data())
        self._nonces.update(nonces.values())
        return pack_evidence(binding, quote)

    def run(self, document: bytes, blob: bytes | None, envelopes: Sequence[bytes]) -> list[bytes]:
        """Run a job once: one envelope in for each input, one out for each output and receiver, both in the job's order.

        Raises: JobRefused for a job that is not this enclave's, is not allowed, or ran before; EnvelopeRefused and
        EnvelopeReplayed; EnclaveError when the program fails. A job whose inputs opened is spent, however it ends.
        """
        job = Job.parse(document)
        self._check(job)
        program = prepare_program(job, blob)
        if len(envelopes) != len(job.inputs):
            raise EnvelopeRefused(f"{len(envelopes)} envelopes came for the {len(job.inputs)} inputs of {job!r}")
        routes = [Route.of_input(job, entry.name) for entry in job.inputs]
        values = []
        for entry, route, envelope in zip(job.inputs, routes, envelopes, strict=True):
            self._guard.check(route)
            value = unseal(envelope, route, self._keys)
            if (value.dtype.str, value.shape) != (entry.dtype, entry.shape):
                raise EnvelopeRefused(
                    f"input {entry.name} of {entry.owner} is a {value.dtype.str} array of shape {list(value.shape)}; the job "
                    f"says {entry.dtype} of shape {list(entry.shape)}"
                )
            values.append(value)
        self._spent.add(job.digest)
        for route in routes:
            self._guard.admit(route)
        results = run_program(job, program, values)
        return [
            seal(result, Route.of_output(job, entry.name, party), self._keys)
            for entry, result in zip(job.outputs, results, strict=True)
            for party in entry.to
        ]

    def _check(self, job: Job) -> None:
        for what, wanted, got in (
            ("session", self.session, job.session),
            ("enclave", self.name, job.enclave),
            ("keys", self._keys.public, job.keys),
            ("policy", self.policy.digest, job.policy),
            ("assurance", self.source.assurance, job.assurance),
        ):
            if wanted != got:
                raise JobRefused(f"{job!r} is not for this enclave: its {what} is another")
        check_policy(job, self.policy)
        if job.digest in self._spent:
            raise JobRefused(f"{job!r} ran already; a job runs once. Propose a new one and seal its inputs again")

    def __repr__(self) -> str:
        return f"Enclave({self.source.assurance}, {self.name})"


def check_policy(job: Job, policy: Policy) -> None:
    """Return if a policy allows a job. Raises JobRefused naming the receiver or program that it does not."""
    for entry in job.outputs:
        if strangers := set(entry.to) - set(policy.receivers):
            raise JobRefused(
                f"output {entry.name} would go to {', '.join(sorted(strangers))}; the policy lets results go to "
                f"{', '.join(policy.receivers)} only"
            )
    if policy.programs and job.program.text not in policy.programs:
        raise JobRefused(f"the policy allows {', '.join(policy.programs)}, and not {job.program.text}")


MAX_NONCES: Final = 1 << 16
