"""A job: one program, whose inputs go in and whose results go out, written down so that owners can agree to it by hash.

The hash of a job is bound into every envelope of it. So a host that shows the owners one job and the enclave another
gets envelopes that do not open.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from tacit.foundation.errors import InputError, JobRefused
from tacit.primitive.tee.binding import SESSION_BYTES
from tacit.primitive.tee.canonical import canonical, digest, is_hex, is_name, parse_canonical
from tacit.primitive.tee.keys import PublicKeys
from tacit.primitive.tee.value import check_header
from tacit.primitive.tee.verdict import Assurance, Attested


@dataclass(frozen=True)
class Program:
    """What runs: `function`, a library function by `name` with `params`; or `exported`, a JAX program by its SHA-256."""

    kind: Literal["function", "exported"]
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.kind == "function" and is_name(self.name)) and not (
            self.kind == "exported" and is_hex(self.name, 32) and not self.params
        ):
            raise InputError(
                "a program is a library function by name, or an exported program by SHA-256 and without parameters"
            )

    @property
    def text(self) -> str:
        """As policies write it: `function:NAME` or `exported:SHA-256`."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True)
class JobInput:
    """One sealed argument: whose it is, its name, shape and dtype (NumPy's text, such as `<f8`)."""

    owner: str
    name: str
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        if not is_name(self.owner) or not is_name(self.name):
            raise InputError(f"an input has an owner and a name, got {self.owner!r} and {self.name!r}")
        check_header(self.dtype, self.shape)
        object.__setattr__(self, "shape", tuple(self.shape))


@dataclass(frozen=True)
class JobOutput:
    """One result and the parties to whom it is sealed."""

    name: str
    to: tuple[str, ...]

    def __post_init__(self) -> None:
        if not is_name(self.name) or isinstance(self.to, str) or not self.to or not all(map(is_name, self.to)):
            raise InputError(f"output {self.name!r} needs a name and at least one receiver")
        if len(set(self.to)) != len(self.to):
            raise InputError(f"a receiver of output {self.name} is named twice")
        object.__setattr__(self, "to", tuple(self.to))


@dataclass(frozen=True)
class Job:
    """One run of one program in one enclave.

    id: 16 random bytes in hex; enclave, keys, assurance, policy: the attested enclave; parties: the session keys of every
    owner and receiver. `inputs` are the program's arguments and `outputs` its results, in order.

    Raises: InputError for what is malformed.
    """

    id: str
    session: str
    enclave: str
    keys: PublicKeys
    assurance: Assurance
    policy: str
    program: Program
    inputs: tuple[JobInput, ...]
    outputs: tuple[JobOutput, ...]
    parties: Mapping[str, PublicKeys]

    def __post_init__(self) -> None:
        if not is_hex(self.id, ID_BYTES) or not is_hex(self.session, SESSION_BYTES) or not is_hex(self.policy, 32):
            raise InputError("a job's id, session and policy are hex of 16, 8 and 32 bytes")
        if not is_name(self.enclave) or self.assurance not in ("SIMULATED", "ATTESTED"):
            raise InputError("a job names its enclave, and says whether that is SIMULATED or ATTESTED")
        if not self.inputs or not self.outputs or max(len(self.inputs), len(self.outputs)) > MAX_VALUES:
            raise InputError(f"a job has 1 to {MAX_VALUES} inputs and outputs")
        for values in (self.inputs, self.outputs):
            if len({value.name for value in values}) != len(values):
                raise InputError("two inputs, or two outputs, of a job have the same name")
        wanted = {value.owner for value in self.inputs} | {party for value in self.outputs for party in value.to}
        if self.parties.keys() != wanted:
            raise InputError(
                f"a job holds the keys of its owners and receivers, {', '.join(sorted(wanted))}, no others"
            )
        object.__setattr__(self, "parties", MappingProxyType(dict(self.parties)))
        self.to_bytes()

    @classmethod
    def propose(
        cls,
        attested: Attested,
        program: Program,
        inputs: Sequence[JobInput],
        outputs: Sequence[JobOutput],
        parties: Mapping[str, PublicKeys],
    ) -> Self:
        """Write a new job for an attested enclave; it counts for nothing until the owners of its inputs approve it."""
        binding = attested.binding
        return cls(
            secrets.token_hex(ID_BYTES),
            binding.session,
            binding.enclave,
            binding.keys,
            attested.assurance,
            binding.policy,
            program,
            tuple(inputs),
            tuple(outputs),
            parties,
        )

    def to_bytes(self) -> bytes:
        """Canonical JSON."""
        return canonical(
            {
                "assurance": self.assurance,
                "enclave": self.enclave,
                "id": self.id,
                "inputs": [[entry.owner, entry.name, list(entry.shape), entry.dtype] for entry in self.inputs],
                "keys": self.keys.text,
                "outputs": [[entry.name, list(entry.to)] for entry in self.outputs],
                "parties": {party: keys.text for party, keys in self.parties.items()},
                "policy": self.policy,
                "program": [self.program.kind, self.program.name, dict(self.program.params)],
                "session": self.session,
            }
        )

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read what `to_bytes` gives. Raises JobRefused for anything else."""
        document = parse_canonical(data, "a job", limit=MAX_JOB_BYTES, refuse=JobRefused)
        if document.keys() != FIELDS:
            raise JobRefused(f"a job has exactly the fields {', '.join(sorted(FIELDS))}")
        try:
            kind, name, params = document["program"]
            return cls(
                **{
                    **document,
                    "keys": PublicKeys.parse(document["keys"]),
                    "program": Program(kind, name, dict(params)),
                    "inputs": tuple(
                        JobInput(owner, name, tuple(shape), dtype) for owner, name, shape, dtype in document["inputs"]
                    ),
                    "outputs": tuple(JobOutput(name, tuple(to)) for name, to in document["outputs"]),
                    "parties": {party: PublicKeys.parse(keys) for party, keys in document["parties"].items()},
                }
            )
        except (InputError, ValueError, TypeError, AttributeError) as error:
            raise JobRefused(f"this job is malformed: {error}") from None

    @property
    def digest(self) -> str:
        """SHA-256 in hex: what owners approve."""
        return digest("tacit tee job 1", self.to_bytes())

    def input(self, name: str) -> JobInput:
        """The input of this name. Raises JobRefused when there is none."""
        for entry in self.inputs:
            if entry.name == name:
                return entry
        raise JobRefused(
            f"job {self.digest[:16]} has no input {name!r}; it has {[entry.name for entry in self.inputs]}"
        )

    def output(self, name: str) -> JobOutput:
        """The output of this name. Raises JobRefused when there is none."""
        for entry in self.outputs:
            if entry.name == name:
                return entry
        names = [entry.name for entry in self.outputs]
        raise JobRefused(f"job {self.digest[:16]} has no output {name!r}; it has {names}")

    def __repr__(self) -> str:
        return f"Job({self.digest[:16]}, {self.program.text} in {self.assurance} enclave {self.enclave})"


FIELDS: Final = frozenset(
    {"assurance", "enclave", "id", "inputs", "keys", "outputs", "parties", "policy", "program", "session"}
)
ID_BYTES: Final = 16
MAX_VALUES: Final = 1024
MAX_JOB_BYTES: Final = 1 << 20
