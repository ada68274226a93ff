"""A party's run can be recorded, and replayed alone, bit for bit."""

from __future__ import annotations

import stat
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacit.foundation.errors import InputError, ProtocolMismatch
from tacit.primitive.driver import Driver, run_together
from tacit.primitive.local import decode, encode
from tacit.primitive.mpc.assisted.session import open_session
from tacit.primitive.mpc.function import FUNCTIONS
from tacit.primitive.mpc.value import Fixed
from tacit.primitive.transcript import MAGIC, Transcript, record, replay
from tacit.resource.channel import MemoryChannel

NAMES = ("alice", "bob", "carol")
X = np.array([1.5, -2.25, 3.0])
Y = np.array([-0.5, 4.0, 2.0])
BITS = 18


def program(
    x: np.ndarray = X, y: np.ndarray = Y, *, twice: bool = False
) -> Callable[[Driver], Coroutine[Any, Any, Any]]:
    """alice's x times bob's y, and whether x < y, revealed to alice: a product, a truncation and a comparison."""

    async def run(driver: Driver) -> Any:
        k = await open_session(driver, NAMES)
        values = {"alice": x, "bob": y}
        shared = [
            Fixed(await k.share(owner, array.shape, encode(array, BITS) if owner == driver.me else None), BITS)
            for owner, array in values.items()
        ]
        product = await FUNCTIONS["mul"](k, *shared)
        if twice:
            product = await FUNCTIONS["mul"](k, product, shared[0])
        less = await FUNCTIONS["lt"](k, *shared)
        ring = await k.reveal(product.share, ["alice"])
        bits = await k.reveal_bits(less.share, ["alice"])
        return None if ring is None else (decode(ring, BITS), bits)

    return run


def recorded(folder: Path, *, danger_record: bool = True) -> Any:
    """Run all parties and record each; alice's result."""
    mesh = MemoryChannel.mesh(NAMES)
    drivers = [Driver(name, mesh[name]) for name in NAMES]
    with ExitStack() as stack:
        for driver in drivers:
            stack.enter_context(record(driver, folder / driver.me, danger_record=danger_record))
        return run_together(*[(driver, program()(driver)) for driver in drivers])[0]


def test_every_party_replays_alone_with_the_same_result(tmp_path: Path) -> None:
    product, less = recorded(tmp_path)
    np.testing.assert_allclose(product, X * Y, atol=2**-16)
    np.testing.assert_array_equal(less, X < Y)
    again_product, again_less = replay(tmp_path / "alice", program())
    np.testing.assert_array_equal(again_product, product)  # the truncation's noise too
    np.testing.assert_array_equal(again_less, less)
    assert replay(tmp_path / "bob", program()) is None
    assert replay(tmp_path / "carol", program()) is None


def test_the_driver_is_as_before_after_recording(tmp_path: Path) -> None:
    mesh = MemoryChannel.mesh(NAMES)
    driver = Driver("alice", mesh["alice"])
    before = driver.channels, driver.entropy
    with pytest.raises(ZeroDivisionError), record(driver, tmp_path / "t"):
        raise ZeroDivisionError
    assert (driver.channels, driver.entropy) == before


def test_another_input_is_found_at_the_message_that_differs(tmp_path: Path) -> None:
    recorded(tmp_path)
    with pytest.raises(
        ProtocolMismatch, match=r"alice posts other bytes to bob at operation 1 .*\[alice, operation 1 "
    ) as caught:
        replay(tmp_path / "alice", program(x=X + 1))
    assert (caught.value.peer, caught.value.operation) == ("bob", 1)
    assert "2.5" not in str(caught.value)
    replay(tmp_path / "alice", program(y=Y + 1))  # bob's input is not alice's to know


def test_another_program_is_found(tmp_path: Path) -> None:
    recorded(tmp_path)
    with pytest.raises(ProtocolMismatch, match=r"alice posts operation \d+ .* the recorded run"):
        replay(tmp_path / "alice", program(twice=True))
    with pytest.raises(ProtocolMismatch, match=r"alice posts operation 1 with 32 bytes .* operation 1 with 24 bytes"):
        replay(tmp_path / "alice", program(x=np.zeros(4)))


def test_a_program_that_ends_early_is_found(tmp_path: Path) -> None:
    recorded(tmp_path)

    async def opens_only(driver: Driver) -> None:
        await open_session(driver, NAMES)

    with pytest.raises(
        ProtocolMismatch, match=r"alice has ended, but the recorded run exchanged \d+ more messages with bob"
    ):
        replay(tmp_path / "alice", opens_only)


def test_a_program_that_draws_other_keys_is_found(tmp_path: Path) -> None:
    recorded(tmp_path)

    async def draws(driver: Driver) -> None:
        driver.entropy(7)

    with pytest.raises(ProtocolMismatch, match="alice draws 7 random bytes"):
        replay(tmp_path / "alice", draws)


def test_keys_are_written_only_on_demand_and_the_file_is_private(tmp_path: Path) -> None:
    recorded(tmp_path, danger_record=False)
    path = tmp_path / "alice"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    transcript = Transcript.load(path)
    assert not transcript.complete
    assert set(transcript.entropy) == {b""}
    assert transcript.posted["bob"]
    with pytest.raises(InputError, match="danger_record=True"):
        replay(path, program())


def test_an_older_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "alice"
    path.write_text("something dear")
    with pytest.raises(InputError, match="cannot record to alice: File exists"), record(Driver("alice", {}), path):
        pass
    assert path.read_text() == "something dear"


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    recorded(tmp_path)
    whole = (tmp_path / "alice").read_bytes()
    damaged = tmp_path / "damaged"
    cases = {
        whole[:-1]: "cut off",
        whole + b"\x00": "cut off",
        whole + bytes([9]) + bytes(13): "damaged record",
        b"tacit transcript 2\n" + whole[len(MAGIC) :]: "no transcript of this version",
        MAGIC + b"{}\n": "damaged head",
        MAGIC + b"no json\n": "damaged head",
        MAGIC: "no transcript",
        b"": "no transcript",
    }
    for data, message in cases.items():
        damaged.write_bytes(data)
        with pytest.raises(InputError, match=message):
            Transcript.load(damaged)
    with pytest.raises(InputError, match="no transcript absent: No such file"):
        Transcript.load(tmp_path / "absent")
