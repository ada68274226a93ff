"""The coroutine driver: what every party is told when something goes wrong."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import numpy as np
import pytest
from rigs import chain, drivers, in_threads, swap
from trees import NAMES, talk

from tacit.foundation.errors import (
    DomainError,
    LinkError,
    PeerAborted,
    PeerDied,
    PeerStalled,
    ProtocolMismatch,
)
from tacit.primitive.driver import Deferred, Driver, gather, run_together
from tacit.primitive.profile import Where


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
