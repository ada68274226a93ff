"""Three-party protocols in one thread over memory channels: real frames, real seeds, every message on record."""

from __future__ import annotations

from typing import Any

import numpy as np
from worlds import BITS, Outcome, reveal_all, share_in

from tacit.primitive.driver import Driver, run_together
from tacit.primitive.mpc.kernel import Separable
from tacit.resource.channel import MemoryChannel

NAMES = ("alice", "bob", "carol")


class Factored(Separable):
    """A separable function given by its factors, `left(u)` and `right(v)`, each [terms, n]."""

    def close(self, u: Any, dealt: Any) -> Any:
        """sum_j left_j(u) * dealt[j]."""
        return (self.left(u) * dealt.reshape(self.terms, -1)).sum(axis=0, dtype=np.uint64)

    def deal(self, v: Any, minus: Any, out: Any) -> None:
        """out[j] = right_j(v) - minus[j]."""
        out.reshape(self.terms, -1)[:] = self.right(v) - minus.reshape(self.terms, -1)


class Tap:
    """A channel that also keeps a copy of what it received: a party's view."""

    def __init__(self, inner: Any, received: list[tuple[str, bytes]]) -> None:
        self._inner = inner
        self._received = received

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def take(self, operation: int, into: memoryview) -> bool:
        """Take, and remember."""
        done = self._inner.take(operation, into)
        if done:
            self._received.append((self._inner.peer, bytes(into)))
        return done


class Parties:
    """A fresh session of three parties; `views` holds what each received since the last `forget`."""

    def __init__(self, opener: Any, **options: Any) -> None:
        mesh = MemoryChannel.mesh(NAMES)
        self.views: dict[str, list[tuple[str, bytes]]] = {name: [] for name in NAMES}
        self.drivers = {
            name: Driver(name, {peer: Tap(channel, self.views[name]) for peer, channel in mesh[name].items()})
            for name in NAMES
        }
        kernels = run_together(*[(driver, opener(driver, NAMES, **options)) for driver in self.drivers.values()])
        self.kernels = dict(zip(NAMES, kernels, strict=True))
        self.forget()

    def forget(self) -> None:
        """Start a new record."""
        for view in self.views.values():
            view.clear()

    def run(self, body: Any) -> dict[str, Any]:
        """body(kernel) at every party; results by party."""
        results = run_together(*[(self.drivers[name], body(self.kernels[name])) for name in NAMES])
        return dict(zip(NAMES, results, strict=True))

    def cost(self, body: Any) -> tuple[int, dict[str, int]]:
        """Rounds and payload bytes by party of one run."""
        before = {name: (d.profile.rounds, d.profile.payload) for name, d in self.drivers.items()}
        self.run(body)
        rounds = {d.profile.rounds - before[name][0] for name, d in self.drivers.items()}
        assert len(rounds) == 1, "the parties count different rounds"
        return rounds.pop(), {name: d.profile.payload - before[name][1] for name, d in self.drivers.items()}


def ring(values: Any) -> Any:
    """Integers as ring elements."""
    return np.array([v % 2**64 for v in values], np.uint64)


def signed(values: Any) -> Any:
    """Ring elements as signed integers."""
    return np.asarray(values, np.uint64).view(np.int64)


async def inputs(k: Any, *pairs: Any) -> list[Any]:
    """Share (owner, ring elements) pairs."""
    return [await k.share(owner, values.shape, values if k.context.me == owner else None) for owner, values in pairs]


class ThreePartyWorld:
    """A protocol as a world of the function tests."""

    def __init__(self, name: str, opener: Any, **options: Any) -> None:
        self.name = name
        self.exact = bool(options.get("exact", False))
        self._opener = opener
        self._options = options
        self._parties: Parties | None = None

    def run(self, function: Any, *inputs: Any, bits: int = BITS, **params: Any) -> Outcome:
        """function(k, *shared inputs, **params), revealed to all; inputs belong to alice."""
        if self._parties is None:
            self._parties = Parties(self._opener, **self._options)
        parties = self._parties
        notes: dict[str, dict[str, Any]] = {name: {} for name in NAMES}

        async def body(k: Any) -> Any:
            me = k.context.me
            driver = parties.drivers[me]
            values = [await share_in(k, x, bits, mine=me == NAMES[0]) for x in inputs]
            notes[me]["rounds"] = driver.profile.rounds
            return await reveal_all(k, await function(k, *values, **params), NAMES, notes[me], driver, k)

        try:
            results = parties.run(body)
        except BaseException:
            self._parties = None  # the session is over
            raise
        for name in NAMES[1:]:
            _same(results[NAMES[0]], results[name])
        profile = parties.drivers[NAMES[0]].profile
        note = notes[NAMES[0]]
        rounds, profile.rounds = note["after"] - note["rounds"], profile.rounds
        counted = type(profile)(rounds=rounds)
        return Outcome(results[NAMES[0]], counted, {})


def _same(first: Any, second: Any) -> None:
    if isinstance(first, tuple):
        for a, b in zip(first, second, strict=True):
            _same(a, b)
    else:
        np.testing.assert_array_equal(first, second)
