"""The scheduler alone: what is sent before what is waited for, and what a failure stops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tacit.device.executor import Request, Steps, ask, tell
from tacit.device.handle import Device, Handle, Task
from tacit.foundation.errors import DomainError, InputError, NodeCancelled, SessionError
from tacit.schedule.failure import Failure
from tacit.schedule.lines import SessionEnds, Ticket
from tacit.schedule.scheduler import run_graph


class Place(Device):
    """A device that exists in this test only."""

    kind = "plain"
    sees = "nobody"

    def __init__(self, name: str) -> None:
        self.executor = self  # type: ignore[assignment]
        self.names = (name,)
        self.count = 0

    def new_id(self) -> int:
        Place.last = getattr(Place, "last", 0) + 1
        return Place.last

    def note(self, record: Any) -> None:
        self.count += 1

    def drop_later(self, ids: Sequence[int]) -> None:
        pass

    def __repr__(self) -> str:
        return self.names[0]


class Parties:
    """Answers that come in an order of the test's choice."""

    def __init__(self, choose: Callable[[list[Ticket]], Ticket] | None = None) -> None:
        self.log: list[str] = []
        self.choose = choose or (lambda tickets: tickets[-1])
        self.sent: dict[Ticket, Request] = {}
        self.refuse: dict[str, Exception] = {}

    def submit(self, request: Request) -> Ticket:
        ticket = Ticket(list(request.fields) if request.answered else [])
        self.log.append(f"send {request.kind}")
        self.sent[ticket] = request
        return ticket

    def wait(self, tickets: Sequence[Ticket]) -> list[Ticket]:
        ticket = self.choose(list(tickets))
        kind = self.sent[ticket].kind
        self.log.append(f"answer {kind}")
        error = self.refuse.get(kind)
        if isinstance(error, SessionEnds):
            raise error
        for party in ticket.parties:
            if error is not None:
                ticket.failures[party] = Failure(error, fatal=False)  # type: ignore[arg-type]
            else:
                ticket.answers[party] = ({"from": kind}, [])
        ticket.waiting.clear()
        return [ticket]


def node(place: Place, name: str, *inputs: Handle, steps: int = 1, handles: int = 1) -> Handle:
    def run() -> Steps:
        for number in range(steps):
            answers = yield ask(place.names, f"{name}{number or ''}", {})
            assert list(answers) == list(place.names)
        yield tell(place.names, f"{name} over", {})

    task = Task(place, name, inputs, "here.py:1", run)
    made = [Handle(place, (2,), float, node=task, index=i) for i in range(handles)]
    return made[0]


def run(targets: Sequence[Handle], parties: Parties) -> None:
    run_graph(targets, parties, lambda ids: None)


def test_independent_nodes_are_all_sent_before_any_is_waited_for() -> None:
    parties = Parties()
    a, b, c = (node(Place(name), name) for name in "abc")
    run([a, b, c], parties)
    assert parties.log[:3] == ["send a", "send b", "send c"]
    assert all(handle.held for handle in (a, b, c))


@pytest.mark.parametrize("choose", [lambda tickets: tickets[0], lambda tickets: tickets[-1]])
def test_a_node_waits_for_what_it_needs_and_for_nothing_else(choose: Callable[[list[Ticket]], Ticket]) -> None:
    parties = Parties(choose)
    slow = node(Place("p"), "slow", steps=5)
    quick = node(Place("q"), "quick")
    after = node(Place("q"), "after", quick)
    both = node(Place("r"), "both", slow, after)
    run([both], parties)
    log = parties.log
    assert log.index("send after") > log.index("answer quick")
    assert log.index("send both") > max(log.index("answer slow4"), log.index("answer after"))
    if choose([1, 2]) == 2:  # type: ignore[list-item, comparison-overlap]
        assert log.index("send after") < log.index("answer slow4")


def test_a_failure_cancels_dependents_only_and_is_raised_last() -> None:
    parties = Parties(lambda tickets: tickets[0])
    parties.refuse["bad"] = DomainError("no")
    bad, good = node(Place("p"), "bad"), node(Place("q"), "good", steps=3)
    worse = node(Place("q"), "worse", bad, good)
    worst = node(Place("q"), "worst", worse)
    with pytest.raises(DomainError) as caught:
        run([worst, good], parties)
    assert caught.value.__notes__ == [f"in {bad.node}"]
    assert good.held
    assert not any("worse" in line for line in parties.log)
    with pytest.raises(NodeCancelled, match=r"'worst' on q at here.py:1 has no result: NodeCancelled"):
        run([worst], parties)
    with pytest.raises(NodeCancelled, match=r"'bad' on p at here.py:1 has no result: DomainError: no"):
        run([node(Place("r"), "late", bad)], parties)


def test_a_step_may_handle_a_refusal_itself() -> None:
    place = Place("p")
    parties = Parties()
    parties.refuse["try"] = InputError("not like this")

    def steps() -> Steps:
        try:
            yield ask(place.names, "try", {})
        except InputError:
            yield ask(place.names, "otherwise", {})

    handle = Handle(place, (), float, node=Task(place, "careful", [], "", steps))
    run([handle], parties)
    assert handle.held
    assert parties.log[-1] == "answer otherwise"


def test_two_failures_are_both_told() -> None:
    parties = Parties()
    parties.refuse.update(a=InputError("first"), b=DomainError("second"))
    with pytest.raises((InputError, DomainError)) as caught:
        run([node(Place("p"), "a"), node(Place("q"), "b")], parties)
    assert any(note.startswith("and: ") for note in caught.value.__notes__)


def test_what_ends_the_session_ends_the_run_at_once() -> None:
    parties = Parties(lambda tickets: tickets[0])
    parties.refuse["a"] = SessionEnds(SessionError("gone"))
    with pytest.raises(SessionEnds):
        run([node(Place("p"), "a"), node(Place("q"), "b")], parties)
    assert "answer b" not in parties.log


def test_ten_thousand_nodes_in_a_row() -> None:
    place = Place("p")
    handle = node(place, "n0")
    for _ in range(10_000):
        handle = node(place, "n", handle)
    run([handle], Parties())
    assert handle.held
