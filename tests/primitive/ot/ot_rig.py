"""Two parties in one process that transfer obliviously, and a channel that cheats on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tacit.primitive.driver import Driver, run_together
from tacit.primitive.ot.block import Received, Sent, times
from tacit.primitive.ot.noise import Noise
from tacit.primitive.ot.session import Session, open_session
from tacit.resource.channel import MemoryChannel

TOY = Noise(trees=24, depth=6, table=256)  # of no security at all: it is only fast
NAMES = ("sender", "receiver")

Program = Callable[[Session], Awaitable[Any]]
Hook = Callable[[int, bytearray], None]


class Crooked:
    """A channel that lets `hook` change every message it posts, by its number; and that keeps what it posted."""

    def __init__(self, channel: Any, hook: Hook | None) -> None:
        self.channel = channel
        self.hook = hook
        self.posted: list[bytes] = []
        self.held: list[np.ndarray] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.channel, name)

    def post(self, operation: int, payload: Any) -> None:
        data = bytearray(memoryview(payload).cast("B")) if memoryview(payload).nbytes else bytearray()
        if self.hook is not None:
            self.hook(len(self.posted), data)
        self.posted.append(bytes(data))
        self.held.append(np.frombuffer(data, np.uint8))
        self.channel.post(operation, self.held[-1].data)


@dataclass
class Run:
    """What both parties returned, and what they did."""

    results: list[Any]
    drivers: list[Driver]

    def posted(self, party: int) -> list[bytes]:
        return self.drivers[party].channels[NAMES[1 - party]].posted

    @property
    def bytes(self) -> list[int]:
        return [driver.profile.payload for driver in self.drivers]

    @property
    def rounds(self) -> int:
        return self.drivers[0].profile.rounds


def run(sender: Program, receiver: Program, *, cheats: tuple[Hook | None, Hook | None] = (None, None)) -> Run:
    """Open a session at both and run a program each. Message 0 of either party is its nonce."""
    mesh = MemoryChannel.mesh(NAMES)
    drivers = []
    for name, peer, hook in zip(NAMES, NAMES[::-1], cheats, strict=True):
        drivers.append(Driver(name, {peer: Crooked(mesh[name][peer], hook)}))

    async def party(driver: Driver, peer: str, program: Program) -> Any:
        return await program(await open_session(driver, peer))

    pairs = zip(drivers, NAMES[::-1], (sender, receiver), strict=True)
    results = run_together(*[(driver, party(driver, peer, program)) for driver, peer, program in pairs])
    return Run(list(results), drivers)


def flip(message: int, byte: int = 0, bit: int = 0) -> Hook:
    """A hook that changes one bit of one message."""

    def hook(number: int, data: bytearray) -> None:
        if number == message:
            data[byte % len(data)] ^= 1 << bit

    return hook


def require_correlated(sent: Sent, received: Received) -> None:
    """Exactly what `tacit.primitive.ot.block` promises."""
    assert sent.delta[0] & np.uint64(1) == 1
    assert not np.any(sent.blocks[:, 0] & np.uint64(1))
    assert np.array_equal(received.blocks, sent.blocks ^ times(received.choices, sent.delta))


def require_balanced(data: bytes | np.ndarray, sigmas: float = 7.0) -> None:
    """Ones among the bits, in number within `sigmas` deviations of a half: 7 fail a fair coin once in 10**11."""
    flat = np.frombuffer(bytes(data), np.uint8)
    count = 8 * flat.size
    ones = int(np.unpackbits(flat).sum())
    assert abs(ones - count / 2) <= sigmas * (count**0.5) / 2, (ones, count)
