"""Out of what several parties report, one error: the cause first, what others saw of it as notes."""

from __future__ import annotations

import pytest

from tacit.foundation import errors
from tacit.foundation.errors import (
    DomainError,
    FixedPointOverflow,
    PeerAborted,
    PeerDied,
    PeerStalled,
    ProtocolMismatch,
    SessionError,
    TacitError,
)
from tacit.schedule.failure import Failure, rebuild, root_cause


@pytest.mark.parametrize(
    "name", [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, TacitError)]
)
def test_every_error_of_ours_is_made_again(name: str) -> None:
    facts = {"peer": "bob", "operation": 7, "observed": 2.0}
    failure = rebuild("alice", {"type": name, "message": "alice saw this", "facts": facts, "fatal": False})
    assert type(failure.error).__name__ == name
    assert str(failure.error) == "alice saw this"
    assert (failure.error.peer, failure.error.observed) == ("bob", 2.0)  # type: ignore[attr-defined]
    assert not failure.fatal


def test_nothing_but_our_errors_is_made() -> None:
    for name in ("SystemExit", "eval", "annotations", "", None, "__builtins__"):
        assert type(rebuild("alice", {"type": name, "message": "m"}).error) is SessionError
    empty = rebuild("alice", {})
    assert empty.fatal
    assert str(empty.error) == "alice: None"


def test_an_error_names_its_party() -> None:
    assert str(rebuild("alice", {"type": "DomainError", "message": "x is 3"}).error) == "alice: x is 3"
    plain = rebuild("alice", {"type": "PeerDied", "message": "m"}).error
    assert isinstance(plain, PeerDied)
    assert (plain.peer, plain.operation) == ("", None)
    overflow = rebuild("alice", {"type": "FixedPointOverflow", "message": "m", "facts": {"limit": 1.0}}).error
    assert isinstance(overflow, FixedPointOverflow)
    assert overflow.limit == 1.0


def test_an_error_of_a_partys_own_comes_first() -> None:
    aborted, own = PeerAborted("bob stopped", peer="bob"), DomainError("bob: a NaN")
    cause = root_cause({"alice": Failure(aborted), "bob": Failure(own), "carol": Failure(aborted)})
    assert cause is own
    assert cause.__notes__ == ["and: bob stopped", "and: bob stopped"]
    assert root_cause({"alice": Failure(aborted), "carol": Failure(ProtocolMismatch("differs"))}).args == ("differs",)


def test_a_dead_party_is_named_with_what_the_others_saw() -> None:
    seen = PeerDied("carol closed the connection [bob, operation 5 (mul) at u.py:3]", peer="carol", operation=5)
    other = PeerAborted("bob stopped", peer="bob", operation=6)
    dead = PeerDied("the process of carol ended (signal 9)", peer="carol")
    cause = root_cause({"alice": Failure(other), "carol": Failure(dead, gone=True), "bob": Failure(seen)})
    assert isinstance(cause, PeerDied)
    assert (cause.peer, cause.operation) == ("carol", 5)
    assert str(cause) == (
        "the process of carol ended (signal 9). bob saw: carol closed the connection [bob, operation 5 (mul) at u.py:3]"
    )
    assert cause.__notes__ == ["and: bob stopped"]


def test_nobody_else_saw_anything() -> None:
    stalled = PeerStalled("the process of bob is stopped", peer="bob")
    assert root_cause({"bob": Failure(stalled, gone=True)}) is stalled
    waited = PeerStalled("bob sent nothing", peer="bob", operation=3)
    assert root_cause({"alice": Failure(waited)}) is waited
