"""The coroutine driver: the order of messages, coalescing, rounds, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rigs import drivers, posted, step, swap
from trees import NAMES, TREES, operations, rounds, run, talk

from tacit.foundation.errors import (
    LinkError,
    ProtocolError,
    ProtocolMismatch,
    UnknownParty,
)
from tacit.primitive import driver as module
from tacit.primitive.driver import Deferred, Driver, gather, run_together
from tacit.primitive.phantom import PhantomChannel
from tacit.primitive.profile import Where

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
