"""Envelopes: one array, encrypted to one receiver, signed by one sender, for one place in one job.

An envelope is `length of header (u32), header (canonical JSON), signature (64 bytes), HPKE ciphertext`. The header names
sender, receiver, both their keys, session, job, sequence number, name, dtype and shape. It is HPKE's `info` (so that the
key itself depends on it), and it is signed together with the ciphertext.

Source: RFC 9180 (HPKE: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM), single shot, base mode; RFC 8032 (Ed25519).
Threat model: the host stores, drops, copies, changes and forges envelopes at will.
Functionality: the receiver gets the sender's array for exactly this place, or an error.
Leakage: the header, that is who, to whom, names, shape and dtype; and when. Not one bit of the values.
Costs: no round; 48 bytes of HPKE, 64 of signature and a header of some 600 bytes beside the values.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Any, Final, Literal, Self

import numpy as np

from tacit.foundation.errors import EnvelopeRefused, EnvelopeReplayed, InputError
from tacit.primitive.tee.canonical import canonical, parse_canonical
from tacit.primitive.tee.job import Job
from tacit.primitive.tee.keys import SEAL_OVERHEAD, SIGNATURE_BYTES, PrivateKeys, PublicKeys
from tacit.primitive.tee.value import check_header, from_bytes, to_bytes
from tacit.primitive.tee.verdict import Assurance


@dataclass(frozen=True, slots=True)
class Route:
    """The place of an envelope: everything about it that its receiver knows before it comes."""

    kind: Literal["input", "output"]
    job: str
    session: str
    assurance: Assurance
    name: str
    sequence: int
    sender: str
    sender_keys: PublicKeys
    receiver: str
    receiver_keys: PublicKeys

    @classmethod
    def of_input(cls, job: Job, name: str) -> Self:
        """From the owner of an input to the enclave."""
        owner = job.input(name).owner
        sequence = [entry.name for entry in job.inputs].index(name)
        sender = owner, job.parties[owner]
        receiver = enclave_party(job), job.keys
        return cls("input", job.digest, job.session, job.assurance, name, sequence, *sender, *receiver)

    @classmethod
    def of_output(cls, job: Job, name: str, party: str) -> Self:
        """From the enclave to a receiver of an output. Raises EnvelopeRefused when the job names it not as one."""
        if party not in job.output(name).to:
            raise EnvelopeRefused(
                f"{party} is no receiver of output {name}; those are {', '.join(job.output(name).to)}"
            )
        sequence = [entry.name for entry in job.outputs].index(name)
        sender = enclave_party(job), job.keys
        receiver = party, job.parties[party]
        return cls("output", job.digest, job.session, job.assurance, name, sequence, *sender, *receiver)

    def header(self, dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
        """The header of an envelope that takes this route."""
        return {
            "assurance": self.assurance,
            "dtype": dtype,
            "job": self.job,
            "kind": self.kind,
            "name": self.name,
            "receiver": self.receiver,
            "receiver_keys": self.receiver_keys.text,
            "sender": self.sender,
            "sender_keys": self.sender_keys.text,
            "sequence": self.sequence,
            "session": self.session,
            "shape": list(shape),
            "version": 1,
        }


class ReplayGuard:
    """What a receiver has opened already."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, str, int]] = set()

    def check(self, route: Route) -> None:
        """Return if nothing came on this route yet. Raises EnvelopeReplayed otherwise."""
        if self._id(route) in self._seen:
            raise EnvelopeReplayed(
                f"{route.kind} {route.name} of job {route.job[:16]} from {route.sender} was opened before"
            )

    def admit(self, route: Route) -> None:
        """Remember that something came on this route."""
        self._seen.add(self._id(route))

    @staticmethod
    def _id(route: Route) -> tuple[str, str, str, int]:
        return route.sender_keys.text, route.job, route.kind, route.sequence


def seal(value: np.ndarray, route: Route, keys: PrivateKeys) -> bytes:
    """Encrypt and sign an array for `route`. Raises InputError unless `keys` are the route's sender's."""
    if keys.public != route.sender_keys:
        raise InputError(f"{route.sender} does not seal {route.name} with these keys")
    header = canonical(route.header(value.dtype.str, value.shape))
    sealed = route.receiver_keys.seal(to_bytes(value), INFO + header)
    return b"".join((LENGTH.pack(len(header)), header, keys.sign(_signed(header, sealed)), sealed))


def unseal(envelope: bytes, route: Route, keys: PrivateKeys) -> np.ndarray:
    """Open an envelope that came on `route`.

    Raises: EnvelopeRefused unless every field, byte and key is what `route` says, naming the first that is not.
    """
    (size,) = LENGTH.unpack_from(envelope) if len(envelope) >= LENGTH.size else (0,)
    begin = LENGTH.size + size
    if size > MAX_HEADER or len(envelope) < begin + SIGNATURE_BYTES + SEAL_OVERHEAD or not size:
        raise EnvelopeRefused(f"{len(envelope)} bytes are no envelope; was it cut?")
    header = envelope[LENGTH.size : begin]
    dtype, shape = _check_header(header, route)
    signature = envelope[begin : begin + SIGNATURE_BYTES]
    sealed = memoryview(envelope)[begin + SIGNATURE_BYTES :]
    route.sender_keys.check(signature, _signed(header, sealed), route.sender)
    if keys.public != route.receiver_keys:
        raise EnvelopeRefused(f"{route.name} is sealed to other keys of {route.receiver} than it has now")
    return from_bytes(keys.unseal(sealed, INFO + header), dtype, shape)


def enclave_party(job: Job) -> str:
    """How an enclave signs: no party can have this name."""
    return f"enclave:{job.enclave}"


def _check_header(header: bytes, route: Route) -> tuple[str, tuple[int, ...]]:
    fields = parse_canonical(header, "an envelope's header", limit=MAX_HEADER, refuse=EnvelopeRefused)
    dtype, shape = fields.get("dtype"), fields.get("shape")
    try:
        check_header(dtype, shape)
    except InputError as error:
        raise EnvelopeRefused(f"an envelope's header is malformed: {error}") from None
    assert isinstance(dtype, str)
    assert isinstance(shape, list)
    expected = route.header(dtype, tuple(shape))
    if fields.keys() != expected.keys():
        raise EnvelopeRefused("an envelope's header has other fields than it must have")
    for name, value in expected.items():
        if fields[name] != value or type(fields[name]) is not type(value):
            raise EnvelopeRefused(
                f"this envelope is not {route.kind} {route.name} of job {route.job[:16]} from {route.sender} to "
                f"{route.receiver}: its {name} is another"
            )
    return dtype, tuple(shape)


def _signed(header: bytes, sealed: bytes | memoryview) -> bytes:
    return SIGNED + hashlib.sha256(header).digest() + hashlib.sha256(sealed).digest()


LENGTH: Final = struct.Struct("<I")
MAX_HEADER: Final = 1 << 14
INFO: Final = b"tacit tee envelope 1\0"
SIGNED: Final = b"tacit tee envelope signature 1\0"
