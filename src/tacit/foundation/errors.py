"""Every error Tacit raises on purpose. Each names the cause, the number and the cure.

TacitError
├── InputError                 what the caller passed cannot be used
│   ├── DomainError            a value lies outside the documented domain
│   ├── ShapeError             shapes do not fit
│   ├── ConfigError            a setting is unknown, missing or contradictory
│   ├── DataError              a party's table cannot be used as it is
│   │   ├── UnreadableFile         it is missing, of another format, or damaged
│   │   ├── UnknownColumn          a column that was asked for is not there
│   │   ├── MissingIdentifier      a record has no identifier
│   │   ├── DuplicateIdentifier    several records have the same identifier
│   │   ├── MissingValue           a record lacks a number
│   │   ├── TextColumn             a column is not numeric
│   │   ├── ConstantColumn         a column has one value only
│   │   ├── LabelNotBinary         the label does not say which of two classes a record has
│   │   ├── TooFewRows             too few records are left to learn from
│   │   ├── NullKey                a record lacks a key to be matched by
│   │   ├── KeyTypeRefused         a key column has a type by which records cannot be matched
│   │   └── NoOverlap              two tables have no record in common
│   ├── ClipExceeded           a value to be aggregated lies beyond the bound that was agreed on
│   ├── FixedPointOverflow     a number does not fit the ring at the chosen fraction bits
│   ├── CiphertextOverflow     an operation on ciphertexts could leave the range of plaintexts
│   ├── LevelsExhausted        a computation on ciphertexts is deeper than their parameters allow
│   ├── KeyMismatch            ciphertexts and keys of different owners, sizes or schemes meet
│   └── NoRoute                no conversion brings a value from one device to another
├── SecrecyError               a secret was about to be used as if it were public
├── CompileError               a program cannot be expressed
│   ├── UnsupportedOperation   a construct has no secure meaning here; says what to write instead
│   └── TypeMismatch           two values of different kind or scale meet
├── ProtocolError              the parties disagree or a protocol's rule was broken
│   ├── ProtocolMismatch       the peer is at another operation, or runs another program
│   ├── CorrelationExhausted   offline correlations are used up, or were used before
│   ├── CorrelationReused      a mask or correlation was about to be used twice
│   ├── TransferRefused        a peer deviated from an oblivious transfer: a point or a check does not hold
│   ├── PointRefused           curve points that arrived are off the curve or of low order
│   ├── TermsDiffer            the sides of an intersection do not ask for the same thing
│   ├── CiphertextRefused      ciphertexts that arrived are garbled, foreign or not of this form
│   ├── KeyRefused             a public key that arrived is malformed or weak
│   └── AggregationError       a secure aggregation refused a message, or cannot finish
│       ├── MessageMalformed       a message breaks the format or its bounds
│       ├── MessageForeign         it belongs to another aggregation, or to another client
│       ├── MessageRepeated        it was answered or counted before
│       ├── MessageUntimely        its round is over, or has not begun
│       ├── MessageForged          a signature, a seal or a commitment does not hold
│       ├── SurvivorsDiffer        the server told clients different sets of survivors, or a set that would isolate one
│       └── TooFewClients          fewer clients are left than the threshold asks for
├── LinkError                  a channel to a peer failed
│   ├── AuthenticationError    the peer's certificate is missing, unknown or wrong
│   ├── UnknownParty           a party that is not in this session spoke or was addressed
│   ├── FrameError             a frame was refused
│   │   ├── FrameTruncated     it ended early
│   │   ├── FrameOversized     it is larger than the receiver allows
│   │   ├── FrameCorrupted     its header or body fails its check
│   │   ├── FrameReplayed      its sequence number was seen before
│   │   ├── FrameReordered     its sequence number lies in the future
│   │   └── SessionMismatch    it belongs to another session
│   ├── PeerDied               the peer closed the channel or its process ended
│   ├── PeerStalled            the peer sent nothing before the deadline
│   └── PeerAborted            the peer told us why it stopped
├── EnclaveError               a trusted execution environment refused, or was refused
│   ├── EvidenceRefused        its evidence does not meet the policy; says every reason
│   ├── EvidenceUnavailable    this machine has no device that gives evidence
│   ├── NoVerifier             nothing here can verify evidence of this format
│   ├── JobRefused             a job is not the one that was agreed on, or is not allowed
│   └── EnvelopeRefused        an envelope is damaged, forged, or meant for something else
│       └── EnvelopeReplayed   it was opened before
├── LedgerError                a ledger file is broken or was tampered with
├── MissingExtra               an optional package is not installed; says which command installs it
├── BudgetExhausted            a privacy budget does not allow what was asked of it
├── PolicyError                a party's policy forbids the step
└── SessionError               a session could not start, or is over
    ├── JobChanged             an interrupted job was started again on another table, or with other terms
    └── NodeCancelled          a computation was not started, because one that it needs failed
"""

from __future__ import annotations


class TacitError(Exception):
    """The root of every error that Tacit raises on purpose."""


class InputError(TacitError, ValueError):
    """What the caller passed cannot be used."""


class DomainError(InputError):
    """A value lies outside the documented domain."""


class ShapeError(InputError):
    """Shapes do not fit."""


class ConfigError(InputError):
    """A setting is unknown, missing or contradictory."""


class DataError(InputError):
    """A party's table cannot be used as it is. Messages name columns and counts, never values."""


class UnreadableFile(DataError):
    """A table's file is missing, of another format, or damaged."""


class UnknownColumn(DataError):
    """A column that was asked for is not in the table."""


class MissingIdentifier(DataError):
    """A record has no identifier, so that it cannot be aligned."""


class DuplicateIdentifier(DataError):
    """Several records of one table have the same identifier."""


class MissingValue(DataError):
    """A record lacks a number, or has one that is not finite."""


class TextColumn(DataError):
    """A column is not numeric and was not declared categorical."""


class ConstantColumn(DataError):
    """A column has one value only, so that nothing can be learnt from it."""


class LabelNotBinary(DataError):
    """The label does not say which of two classes a record has."""


class TooFewRows(DataError):
    """Too few records are left to learn from."""


class NullKey(DataError):
    """A record lacks a key to be matched by."""


class KeyTypeRefused(DataError):
    """A key column has a type by which records cannot be matched, or that the other side's column does not have."""


class NoOverlap(DataError):
    """Two tables have no record in common."""


class FixedPointOverflow(InputError, OverflowError):
    """A number does not fit the ring at the chosen fraction bits.

    Takes the observed magnitude only when it is public (an input of the caller's own).
    """

    def __init__(self, *, observed: float, limit: float, fraction_bits: int) -> None:
        super().__init__(
            f"|value| reached {observed:.3g} but {fraction_bits} fraction bits leave room for {limit:.3g}. "
            "Scale the input, or use fewer fraction bits."
        )
        self.observed = observed
        self.limit = limit
        self.fraction_bits = fraction_bits


class ClipExceeded(InputError, OverflowError):
    """A value to be aggregated lies beyond the bound that was agreed on. Messages name counts and bounds, never values."""


class CiphertextOverflow(InputError, OverflowError):
    """An operation on ciphertexts could leave the range of plaintexts: `bound` is the magnitude it could reach.

    Where a plaintext itself is out of range, `bound` is just above `limit`: messages never tell the value.
    """

    def __init__(self, message: str, *, bound: int, limit: int) -> None:
        super().__init__(message)
        self.bound = bound
        self.limit = limit


class LevelsExhausted(InputError):
    """A computation on ciphertexts is deeper than their parameters allow: it takes `needed` levels where `left` are."""

    def __init__(self, message: str, *, needed: int, left: int) -> None:
        super().__init__(message)
        self.needed = needed
        self.left = left


class KeyMismatch(InputError):
    """Ciphertexts and keys of different owners, sizes or schemes meet."""


class NoRoute(InputError):
    """Values of one device cannot be brought to another by one conversion. The message names a way round."""


class SecrecyError(TacitError, TypeError):
    """A secret was about to be used as if it were public."""


class CompileError(TacitError):
    """A program cannot be expressed."""


class UnsupportedOperation(CompileError, NotImplementedError):
    """A construct has no secure meaning here; the message says what to write instead."""


class TypeMismatch(CompileError, TypeError):
    """Two values of different kind or scale meet."""


class ProtocolError(TacitError):
    """The parties disagree or a protocol's rule was broken."""


class ProtocolMismatch(ProtocolError):
    """The peer is at another operation, or runs another program: `peer` names it, `operation` is the one expected."""

    def __init__(self, message: str = "", *, peer: str = "", operation: int | None = None) -> None:
        super().__init__(message)
        self.peer = peer
        self.operation = operation


class CorrelationExhausted(ProtocolError):
    """Offline correlations are used up, or were used before."""


class CorrelationReused(ProtocolError):
    """A mask or correlation was about to be used twice."""


class AggregationError(ProtocolError):
    """A secure aggregation refused a message, or cannot finish: `client` names who is meant, `round` the step."""

    def __init__(self, message: str = "", *, client: str = "", round: str = "") -> None:
        where = ", ".join(filter(None, (client and f"client {client}", round and f"round {round}")))
        super().__init__(f"{where}: {message}" if where else message)
        self.client = client
        self.round = round


class MessageMalformed(AggregationError):
    """A message breaks the format or its bounds."""


class MessageForeign(AggregationError):
    """A message belongs to another aggregation, or to another client."""


class MessageRepeated(AggregationError):
    """A message, or a whole aggregation, was answered or counted before."""


class MessageUntimely(AggregationError):
    """A message's round is over, or has not begun."""


class MessageForged(AggregationError):
    """A signature, a seal or a commitment does not hold."""


class SurvivorsDiffer(AggregationError):
    """The server told clients different sets of survivors, or a set that would isolate one of them."""


class TooFewClients(AggregationError):
    """Fewer clients are left than the threshold asks for, so that nothing is or can be revealed."""


class TransferRefused(ProtocolError):
    """A peer deviated from an oblivious transfer: what it sent is no point, or fails a check. `peer` names it.

    What was transferred under the same secret must not be used any more; open a new session.
    """

    def __init__(self, message: str = "", *, peer: str = "") -> None:
        super().__init__(message)
        self.peer = peer


class PointRefused(ProtocolError):
    """Curve points that arrived are off the curve, of low order or not in canonical form."""


class TermsDiffer(ProtocolError):
    """The sides of an intersection do not ask for the same thing; nothing was computed."""


class CiphertextRefused(ProtocolError):
    """Ciphertexts that arrived are garbled, foreign or not of the announced form."""


class KeyRefused(ProtocolError):
    """A public key that arrived is malformed or weak."""


class LinkError(TacitError, ConnectionError):
    """A channel to a peer failed: `peer` names it, `operation` is the number that was expected or being sent."""

    def __init__(self, message: str = "", *, peer: str = "", operation: int | None = None) -> None:
        super().__init__(message)
        self.peer = peer
        self.operation = operation


class AuthenticationError(LinkError):
    """The peer's certificate is missing, unknown or wrong."""


class UnknownParty(LinkError):
    """A party that is not in this session spoke or was addressed."""


class FrameError(LinkError):
    """A frame was refused."""


class FrameTruncated(FrameError):
    """A frame ended early."""


class FrameOversized(FrameError):
    """A frame is larger than the receiver allows."""


class FrameCorrupted(FrameError):
    """A frame's header or body fails its check."""


class FrameReplayed(FrameError):
    """A frame's sequence number was seen before."""


class FrameReordered(FrameError):
    """A frame's sequence number lies in the future."""


class SessionMismatch(FrameError):
    """A frame belongs to another session."""


class PeerDied(LinkError):
    """The peer closed the channel or its process ended."""


class PeerStalled(LinkError, TimeoutError):
    """The peer sent nothing before the deadline."""


class PeerAborted(LinkError):
    """The peer told us why it stopped."""


class EnclaveError(TacitError):
    """A trusted execution environment refused something, or was refused itself."""


class EvidenceRefused(EnclaveError, PermissionError):
    """An enclave's evidence does not meet the policy. `reasons` lists every check that failed."""

    reasons: tuple[str, ...] = ()

    def __init__(self, message: str = "", *, reasons: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reasons = reasons


class EvidenceUnavailable(EnclaveError):
    """This machine has no device that gives evidence of an enclave."""


class NoVerifier(EnclaveError):
    """Nothing here can verify evidence of this format."""


class JobRefused(EnclaveError):
    """An enclave's job is not the one that was agreed on, or is not allowed."""


class EnvelopeRefused(EnclaveError):
    """An envelope is damaged, forged, or meant for another enclave, session, job or receiver."""


class EnvelopeReplayed(EnvelopeRefused):
    """An envelope was opened before."""


class LedgerError(TacitError):
    """A ledger file is broken or was tampered with."""


class MissingExtra(TacitError, ImportError):
    """An optional package is not installed: `package` is what lacks, `extra` the group of Tacit that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f'{package} is not installed. Run: pip install "tacit[{extra}]"')
        self.package = package
        self.extra = extra


class BudgetExhausted(TacitError, PermissionError):
    """A privacy budget does not allow what was asked of it. All numbers are epsilons at the budget's delta.

    `spent` is what was released before, `asked` what the refused event would cost alone, `total` the budget.
    """

    def __init__(self, *, owner: str, spent: float, asked: float, together: float, total: float, delta: float) -> None:
        super().__init__(
            f"{owner}'s privacy budget of epsilon {total:.6g} at delta {delta:.3g} does not allow this: {spent:.6g} is spent, "
            f"{asked:.6g} was asked, and both would make {together:.6g}. Ask for less or with more noise, or have the owner "
            "open another budget."
        )
        self.owner = owner
        self.spent = spent
        self.asked = asked
        self.together = together
        self.total = total
        self.delta = delta


class PolicyError(TacitError, PermissionError):
    """A party's policy forbids the step."""


class SessionError(TacitError):
    """A session could not start, or is over."""


class JobChanged(SessionError):
    """An interrupted job was started again on another table, or with other terms."""


class NodeCancelled(SessionError):
    """A computation was not started, because one that it needs failed. The cause is that failure."""
