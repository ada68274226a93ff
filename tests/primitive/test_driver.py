"""The coroutine driver: order, coalescing, rounds, and what every party is told when something goes wrong."""

from __future__ import annotations

import gc
import threading
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from trees import NAMES, TREES, operations, rounds, run, talk

from tacit.foundation.errors import (
    DomainError,
    LinkError,
    PeerAborted,
    PeerDied,
    PeerStalled,
    ProtocolError,
    ProtocolMismatch,
    UnknownParty,
)
from tacit.primitive import driver as module
from tacit.primitive.driver import Deferred, Driver, Exchange, gather, run_together
from tacit.primitive.phantom import PhantomChannel
from tacit.primitive.profile import Where
from tacit.resource.channel import MemoryChannel


class Watched:
    """A channel that notes what is posted, and delivers late: `late` says how often the next takes find nothing."""

    def __init__(self, channel: Any, late: Any = ()) -> None:
        self.channel = channel
        self.posted: list[tuple[int, str, int]] = []
        self.late = iter(late)
        self.left = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, name)

    def post(self, operation: int, payload: Any) -> None:
        self.posted.append((operation, self.channel.peer, memoryview(payload).nbytes))
        self.channel.post(operation, payload)

    def take(self, operation: int, into: memoryview) -> bool:
        if self.left == 0:
            self.left = 1 + next(self.late, 0)
        self.left -= 1
        if self.left:
            return False
        return self.channel.take(operation, into)


def drivers(names=NAMES, *, late=None, threads=False, deadline=120.0) -> dict[str, Driver]:
    """One driver per party over memory channels."""
    mesh = MemoryChannel.mesh(names, threads=threads)
    made = {}
    for name in names:
        ends = {peer: Watched(channel, (late or {}).get((name, peer), ())) for peer, channel in mesh[name].items()}
        made[name] = Driver(name, ends, deadline=deadline)
    return made


def step(parties: list[Driver], order: Any = ()) -> None:
    """Advance one party after the other, in a given order and then in turn, until all are over."""
    left = list(parties)
    picks = iter(order)
    for _ in range(100_000):
        if not left:
            return
        driver = left[next(picks, 0) % len(left)]
        left.remove(driver)
        if not driver.advance():
            left.append(driver)
    raise AssertionError("the parties never came to an end")


def posted(driver: Driver) -> list[tuple[int, str, int]]:
    """What a party posted, in order of operations."""
    return sorted(entry for channel in driver.channels.values() for entry in channel.posted)


def in_threads(programs: dict[str, tuple[Driver, Coroutine[Any, Any, Any]]]) -> dict[str, Any]:
    """Run every party in a thread of its own; what each returned or raised."""
    results: dict[str, Any] = {}

    def work(name: str) -> None:
        driver, coroutine = programs[name]
        try:
            results[name] = driver.run(coroutine, Where(0, f"{name}'s program", f"{name}.py:1"))
        except BaseException as error:  # noqa: BLE001  what a party raises is what the test looks at
            results[name] = error

    workers = [threading.Thread(target=work, args=(name,)) for name in programs]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert results.keys() == programs.keys(), "a party hangs"
    return results


def swap(driver: Driver, peer: str, size: int = 8, receive: int | None = None) -> Exchange:
    """Send `size` bytes to a peer and receive as many."""
    mine = np.zeros(size, np.uint8)
    theirs = np.empty(size if receive is None else receive, np.uint8)
    return driver.exchange([(peer, mine)], [(peer, theirs)])


# --- the schedule -------------------------------------------------------------------------------------------------


@given(tree=TREES, data=st.data())
def test_the_order_of_messages_follows_from_the_program_alone(tree: Any, data: st.DataObject) -> None:
    """Whatever arrives when, and whichever party runs first: the same operations, peers and sizes at every party."""
    prompt = drivers()
    run_together(*[(driver, run(driver, tree)) for driver in prompt.values()])

    pairs = [(a, b) for a in NAMES for b in NAMES if a != b]
    delays = {pair: data.draw(st.lists(st.integers(0, 3), max_size=12), label=str(pair)) for pair in pairs}
    order = data.draw(st.lists(st.integers(0, 2), max_size=30), label="order")
    tardy = drivers(late=delays)
    for driver in tardy.values():
        driver.start(run(driver, tree))
    step(list(tardy.values()), order)

    for name in NAMES:
        assert posted(tardy[name]) == posted(prompt[name])
        assert tardy[name].operation == prompt[name].operation == operations(tree)
        assert tardy[name].profile.rounds == prompt[name].profile.rounds == rounds(tree)


@given(tree=TREES)
def test_rounds_add_up_over_programs(tree: Any) -> None:
    parties = drivers()
    for done in (1, 2, 3):
        run_together(*[(driver, run(driver, tree)) for driver in parties.values()])
        assert [driver.profile.rounds for driver in parties.values()] == [done * rounds(tree)] * 3
        assert [driver.operation for driver in parties.values()] == [done * operations(tree)] * 3


@pytest.mark.parametrize("count", [1, 2, 17, 300])
def test_independent_exchanges_are_one_round_and_one_frame_per_peer(count: int) -> None:
    parties = drivers()

    async def program(driver: Driver) -> None:
        await gather(*[talk(driver, "ring", 8) for _ in range(count)])

    run_together(*[(driver, program(driver)) for driver in parties.values()])
    for driver in parties.values():
        sent = [channel.traffic for channel in driver.channels.values() if channel.traffic.messages_sent]
        assert [(traffic.frames_sent, traffic.messages_sent) for traffic in sent] == [(1, count)]
        assert driver.profile.rounds == 1


@pytest.mark.parametrize("length", [1, 5, 60])
def test_a_chain_of_exchanges_is_a_round_each_and_at_most_a_frame(length: int) -> None:
    """The party that comes second finds its message there, and may send two of its own in one frame."""
    parties = drivers(NAMES[:2])

    async def program(driver: Driver, peer: str) -> None:
        for _ in range(length):
            await swap(driver, peer)

    run_together(
        (parties["alice"], program(parties["alice"], "bob")), (parties["bob"], program(parties["bob"], "alice"))
    )
    for driver in parties.values():
        (channel,) = driver.channels.values()
        assert length / 2 <= channel.traffic.frames_sent <= length
        assert channel.traffic.messages_sent == length
        assert driver.profile.rounds == length


def test_gather_returns_results_in_order_and_nests() -> None:
    parties = drivers(NAMES[:2])

    async def answer(driver: Driver, peer: str, steps: int, value: Any) -> Any:
        for _ in range(steps):
            await swap(driver, peer)
        return value

    async def program(driver: Driver, peer: str) -> Any:
        inner = gather(answer(driver, peer, 3, "slow"), answer(driver, peer, 0, "at once"))
        return await gather(inner, answer(driver, peer, 1, None), gather(), gather(answer(driver, peer, 2, 7)))

    results = run_together(
        (parties["alice"], program(parties["alice"], "bob")), (parties["bob"], program(parties["bob"], "alice"))
    )
    assert results == [[["slow", "at once"], None, [], [7]]] * 2
    assert parties["alice"].profile.rounds == 3


def test_a_deferred_value_is_given_once_and_hands_its_round_on() -> None:
    parties = drivers(NAMES[:2])

    async def long(driver: Driver, peer: str) -> str:
        await swap(driver, peer)
        await swap(driver, peer)
        return "value"

    async def program(driver: Driver, peer: str) -> Any:
        deferred = driver.spawn(long(driver, peer), Where(1, "long"))
        first = await deferred
        await swap(driver, peer)  # the third round
        again = await deferred  # finished long ago: costs nothing
        return first, again, deferred.generation, driver.profile.rounds

    results = run_together(
        (parties["alice"], program(parties["alice"], "bob")), (parties["bob"], program(parties["bob"], "alice"))
    )
    assert results == [("value", "value", 2, 3)] * 2


def test_resolving_a_value_wakes_all_that_wait_for_it() -> None:
    parties = drivers(NAMES[:2])

    async def program(driver: Driver, peer: str) -> Any:
        opening = Deferred()

        async def opens() -> None:
            await swap(driver, peer)
            driver.resolve(opening, 5)

        async def waits(extra: int) -> int:
            value = await opening
            await swap(driver, peer)
            return value + extra

        return await gather(waits(1), opens(), waits(2))

    results = run_together(
        (parties["alice"], program(parties["alice"], "bob")), (parties["bob"], program(parties["bob"], "alice"))
    )
    assert results == [[6, None, 7]] * 2
    assert parties["bob"].profile.rounds == 2


def test_an_exchange_may_be_posted_now_and_awaited_later_by_another_coroutine() -> None:
    parties = drivers(NAMES[:2])

    async def program(driver: Driver, peer: str) -> int:
        early = swap(driver, peer)

        async def waits() -> int:
            return len((await early)[0])

        await swap(driver, peer)
        await swap(driver, peer, 16)
        (got,) = await gather(waits())
        return got + driver.profile.rounds

    # The first exchange was awaited last, so the peer's messages are taken out of order: both sides say so.
    with pytest.raises(ProtocolMismatch, match=r"operation 0 .* where operation 1 .* was due"):
        run_together(
            (parties["alice"], program(parties["alice"], "bob")), (parties["bob"], program(parties["bob"], "alice"))
        )

    parties = drivers(NAMES[:2])

    async def in_order(driver: Driver, peer: str) -> int:
        early = swap(driver, peer)

        async def waits() -> int:
            return len((await early)[0])

        (got,) = await gather(waits())
        await swap(driver, peer)
        return got + driver.profile.rounds

    assert run_together(
        (parties["alice"], in_order(parties["alice"], "bob")), (parties["bob"], in_order(parties["bob"], "alice"))
    ) == [10, 10]


def test_silent_exchanges_keep_step_and_cost_no_round() -> None:
    parties = drivers()

    async def program(driver: Driver) -> None:
        for _ in range(5):
            await talk(driver, "nobody", 3)
        await talk(driver, "deal", 3)

    run_together(*[(driver, program(driver)) for driver in parties.values()])
    assert [driver.profile.rounds for driver in parties.values()] == [1, 1, 1]
    assert [driver.operation for driver in parties.values()] == [6, 6, 6]
    assert parties["alice"].profile.messages == 0


def test_profile_counts_messages_and_bytes_by_peer_and_line() -> None:
    parties = drivers()

    async def program(driver: Driver) -> None:
        await gather(talk(driver, "swap", 10), talk(driver, "ring", 5))

    where = Where(0, "mul", "user.py:7")
    for driver in parties.values():
        driver.profile.timing = True
        driver.start(program(driver), where)
    step(list(parties.values()))
    alice = parties["alice"].profile
    assert (alice.messages, alice.payload, alice.by_peer) == (2, 15, {"bob": 15})
    entry = alice.by_operation["mul", "user.py:7"]
    assert (entry.messages, entry.payload) == (2, 15)
    assert entry.calls == 6  # the parent twice, its two children twice each
    assert entry.seconds > 0


def test_a_detour_returns_the_operation_number_also_after_an_error() -> None:
    parties = drivers(NAMES[:2])

    async def program(driver: Driver, peer: str) -> None:
        await swap(driver, peer)

    for driver in parties.values():
        with driver.detour():
            pass
    with parties["alice"].detour(), parties["bob"].detour():
        run_together(
            (parties["alice"], program(parties["alice"], "bob")), (parties["bob"], program(parties["bob"], "alice"))
        )
        assert parties["alice"].operation == 1
    assert parties["alice"].operation == parties["bob"].operation == 0
    parties["alice"].channels["bob"].channel.close()
    with pytest.raises(LinkError), parties["alice"].detour():
        parties["alice"].run(program(parties["alice"], "bob"))
    assert parties["alice"].operation == 0


def test_operation_numbers_do_not_wrap() -> None:
    driver = Driver("alice", {"bob": PhantomChannel("bob")})
    driver.operation = module.MAX_OPERATIONS - 1

    async def program(count: int) -> None:
        for _ in range(count):
            await swap(driver, "bob")

    driver.run(program(1))
    with pytest.raises(ProtocolError, match=r"2\*\*32 operations. Start a new session"):
        driver.run(program(1))


# --- what cannot be -----------------------------------------------------------------------------------------------


def test_a_program_that_waits_for_nothing_is_named() -> None:
    driver = Driver("alice", {})

    async def program() -> None:
        await Deferred()

    with pytest.raises(RuntimeError, match="alice waits in program for a value that nothing produces"):
        driver.run(program())


def test_a_coroutine_left_behind_is_an_error() -> None:
    """A spawned coroutine that never ends must not be forgotten silently when the program returns."""
    driver = Driver("alice", {})

    async def forever() -> None:
        await Deferred()

    async def program() -> None:
        driver.spawn(forever(), Where(3, "forgotten"))

    with pytest.raises(RuntimeError, match="alice waits in forgotten"):
        driver.run(program())


def test_only_what_the_driver_knows_can_be_awaited() -> None:
    class Foreign:
        def __await__(self) -> Any:
            yield "a foreign request"

    async def program() -> None:
        await Foreign()

    with pytest.raises(TypeError, match="a protocol awaited a str"):
        Driver("alice", {}).run(program())


def test_exchange_outside_of_a_coroutine_is_refused() -> None:
    with pytest.raises(RuntimeError, match="outside of a running coroutine"):
        swap(Driver("alice", {"bob": PhantomChannel("bob")}), "bob")


def test_one_driver_runs_one_program() -> None:
    driver = Driver("alice", {})

    async def inner() -> None:
        return None

    async def program() -> None:
        driver.run(inner())

    with pytest.raises(RuntimeError, match="one program at a time"):
        driver.run(program())


def test_an_unknown_peer_is_named() -> None:
    driver = Driver("alice", {"bob": PhantomChannel("bob")})

    async def program() -> None:
        await swap(driver, "mallory")

    with pytest.raises(UnknownParty, match="alice has no channel to 'mallory'; there are bob") as caught:
        driver.run(program())
    assert caught.value.peer == "mallory"


# --- faults -------------------------------------------------------------------------------------------------------


def chain(driver: Driver, steps: int) -> Callable[[], Coroutine[Any, Any, None]]:
    """A program of `steps` rounds among all three parties."""

    async def program() -> None:
        for _ in range(steps):
            await talk(driver, "ring", 8)

    return program


def test_a_mismatch_names_both_operations_the_line_and_the_peer_at_both_parties() -> None:
    parties = drivers(NAMES[:2], threads=True)

    async def alice(driver: Driver) -> None:
        await swap(driver, "bob")
        await swap(driver, "bob", 24)

    async def bob(driver: Driver) -> None:
        await swap(driver, "alice")
        await driver.exchange([], [], silent=True)
        await swap(driver, "alice", 16)

    results = in_threads(
        {"alice": (parties["alice"], alice(parties["alice"])), "bob": (parties["bob"], bob(parties["bob"]))}
    )
    for name, peer in (("alice", "bob"), ("bob", "alice")):
        error = results[name]
        assert type(error) is ProtocolMismatch
        assert error.peer == peer
        assert "operation 1" in str(error)
        assert "operation 2" in str(error)
        assert f"{name}.py:1" in str(error)


def test_a_mismatch_reaches_the_third_party_as_a_mismatch() -> None:
    parties = drivers(threads=True)

    async def program(driver: Driver, size: int) -> None:
        await talk(driver, "swap", size)
        await talk(driver, "ring", 8)

    sizes = {"alice": 8, "bob": 16, "carol": 8}
    results = in_threads({name: (driver, program(driver, sizes[name])) for name, driver in parties.items()})
    assert [type(results[name]) for name in NAMES] == [ProtocolMismatch] * 3
    assert "carol.py:1" in str(results["carol"])


def test_parties_that_wait_for_each_other_are_told_at_what() -> None:
    parties = drivers(NAMES[:2])

    async def program(driver: Driver, peer: str) -> None:
        await driver.exchange([], [(peer, np.empty(8, np.uint8))])

    with pytest.raises(
        ProtocolMismatch, match=r"alice waits for bob at operation 0 \(program\); bob waits for alice at operation 0"
    ):
        run_together(
            (parties["alice"], program(parties["alice"], "bob")), (parties["bob"], program(parties["bob"], "alice"))
        )


def test_a_stalled_peer_is_named_with_operation_and_line_by_the_deadline() -> None:
    parties = drivers(NAMES[:2], threads=True, deadline=0.2)
    alice = parties["alice"]

    async def waits() -> None:
        await alice.exchange([], [("bob", np.empty(8, np.uint8))])

    async def beside() -> None:
        await alice.exchange([], [], silent=True)

    async def program() -> None:
        await gather(waits(), beside())

    with pytest.raises(
        PeerStalled, match=r"bob sent nothing .* 0\.2 s .*alice, operation 0 \(mul\) at user.py:3"
    ) as caught:
        alice.run(program(), Where(0, "mul", "user.py:3"))
    assert caught.value.peer == "bob"


def test_an_error_names_the_operation_that_waited_not_the_one_that_ran_last() -> None:
    parties = drivers(NAMES[:2], threads=True, deadline=0.2)
    alice = parties["alice"]

    async def waits() -> None:
        await alice.exchange([], [("bob", np.empty(8, np.uint8))])

    async def runs() -> None:
        await alice.exchange([], [], silent=True)

    async def program() -> None:
        first = alice.spawn(waits(), Where(0, "waiting", "user.py:1"))
        second = alice.spawn(runs(), Where(0, "running", "user.py:2"))
        await second
        await first

    with pytest.raises(PeerStalled, match=r"\[alice, operation 0 \(waiting\) at user.py:1\]"):
        alice.run(program())


@pytest.mark.parametrize(
    "error", [ValueError("the secret is 42"), DomainError("the secret is 42"), KeyboardInterrupt()]
)
def test_peers_learn_the_kind_of_an_error_and_its_place_but_never_its_message(error: BaseException) -> None:
    parties = drivers(threads=True)

    async def fails(driver: Driver) -> None:
        await talk(driver, "ring", 8)
        raise error

    programs = {name: (driver, chain(driver, 3)()) for name, driver in parties.items()}
    programs["bob"][1].close()
    programs["bob"] = (parties["bob"], fails(parties["bob"]))
    results = in_threads(programs)
    assert results["bob"] is error
    for name in ("alice", "carol"):
        told = results[name]
        assert type(told) is PeerAborted
        assert f"stopped: {type(error).__name__} [bob, operation 0 (bob's program) at bob.py:1]" in str(told)
        assert "42" not in str(told)
        assert f"[{name}, operation" in str(told)


def test_a_peer_that_leaves_ends_the_program_at_every_other_party() -> None:
    parties = drivers(threads=True)

    async def leaves(driver: Driver) -> None:
        await talk(driver, "ring", 8)
        for channel in driver.channels.values():
            channel.channel.close()

    programs = {name: (driver, chain(driver, 3)()) for name, driver in parties.items() if name != "carol"}
    results = in_threads({**programs, "carol": (parties["carol"], leaves(parties["carol"]))})
    for name in ("alice", "bob"):
        assert isinstance(results[name], (PeerDied, PeerAborted))
        assert f"{name}.py:1" in str(results[name])
    assert PeerDied in {type(results["alice"]), type(results["bob"])}
    assert isinstance(results["carol"], LinkError) or results["carol"] is None


def test_every_coroutine_is_closed_after_an_error() -> None:
    """Running, waiting, not begun, and waiting for one another: none is left, and no warning says otherwise."""
    parties = drivers(NAMES[:2])
    alice = parties["alice"]
    closed: list[str] = []

    async def note(name: str, wait: Any) -> None:
        try:
            await wait
        finally:
            closed.append(name)

    async def nothing() -> None:
        return None

    async def exchanges() -> None:
        await note("exchange", swap(alice, "bob"))

    async def fails() -> None:
        for _ in range(3):
            await gather(nothing(), nothing())  # the others go on until they wait
        alice.spawn(never(), Where(0, "never begun"))
        raise ZeroDivisionError

    async def never() -> None:
        raise AssertionError("this must not run")

    async def inner() -> None:
        await gather(note("inner", Deferred()), note("second", Deferred()))

    async def stubborn() -> None:
        try:
            await Deferred()
        finally:
            closed.append("stubborn")
            await Deferred()  # a coroutine that does not want to go

    async def program() -> None:
        alice.spawn(note("deferred", Deferred()), Where(0, "deferred"))
        alice.spawn(exchanges(), Where(0, "exchange"))
        alice.spawn(note("gather", inner()), Where(0, "gather"))
        alice.spawn(stubborn(), Where(0, "stubborn"))
        await note("main", gather(fails(), note("third", Deferred())))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ZeroDivisionError):
            alice.run(program())
        gc.collect()
    assert sorted(closed) == ["deferred", "exchange", "gather", "inner", "main", "second", "stubborn", "third"]


def test_a_failed_party_can_exchange_nothing_more() -> None:
    parties = drivers(NAMES[:2])
    alice = parties["alice"]

    async def fails() -> None:
        raise ZeroDivisionError

    async def again() -> None:
        await swap(alice, "bob")

    with pytest.raises(ZeroDivisionError):
        alice.run(fails())
    with pytest.raises(LinkError, match="can no longer be reached"):
        alice.run(again())
