"""From what each party reported to the one error that the user sees."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tacit.foundation import errors
from tacit.foundation.errors import PeerAborted, PeerDied, PeerStalled, SessionError, TacitError

SECOND_HAND = (PeerAborted, PeerStalled, PeerDied)
"""What a party reports that only saw a peer go."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a party gave no answer. `fatal`: the parties are no longer at the same point, or one is gone."""

    error: TacitError
    fatal: bool = True
    gone: bool = False
    """The process ended or stopped: it cannot say why."""


def rebuild(party: str, fields: Mapping[str, Any]) -> Failure:
    """The error a party reported, by the name of its class; only our own classes are made. It names the party."""
    kind = getattr(errors, str(fields.get("type")), SessionError)
    if not (isinstance(kind, type) and issubclass(kind, TacitError)):
        kind = SessionError
    error: TacitError = kind.__new__(kind)
    message, fatal = str(fields.get("message")), bool(fields.get("fatal", True))
    Exception.__init__(error, message if not fatal or party in message else f"{party}: {message}")
    facts = fields.get("facts")
    if isinstance(facts, dict):
        vars(error).update({str(name): value for name, value in facts.items() if isinstance(value, (int, float, str))})
    for name in ("peer", "operation"):
        if issubclass(kind, (errors.LinkError, errors.ProtocolMismatch)) and not hasattr(error, name):
            setattr(error, name, "" if name == "peer" else None)
    return Failure(error, fatal=fatal)


def root_cause(failures: Mapping[str, Failure]) -> TacitError:
    """The failure that explains the others, with the others as notes.

    An error of a party's own comes before what others saw of it. Of a party whose process is gone, the others tell what it
    was needed for: operation and source line.
    """
    gone = {party: failure.error for party, failure in failures.items() if failure.gone}
    told = {party: failure.error for party, failure in failures.items() if not failure.gone}
    own = [error for error in told.values() if not isinstance(error, SECOND_HAND)]
    seen = sorted(told.items(), key=lambda item: getattr(item[1], "peer", "") not in gone)
    if own:
        first = own[0]
    elif gone:
        party, first = next(iter(gone.items()))
        if seen:
            witness, other = seen[0]
            kind = PeerDied if isinstance(first, PeerDied) else PeerStalled
            first = kind(f"{first}. {witness} saw: {other}", peer=party, operation=getattr(other, "operation", None))
            told.pop(witness)
            gone.pop(party)
    else:
        first = seen[0][1]
    for error in (*gone.values(), *told.values()):
        if error is not first and str(error) != str(first):
            first.add_note(f"and: {error}")
    return first
