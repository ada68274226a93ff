"""Tacit's `Assisted` with correlations dealt beforehand: two party processes, plain TCP, and a dealer that is gone.

The dealing is `tacit.OfflineJob`'s: files that are made for one run and spent by it. The parties are not a session's,
because a job shares, computes and reveals in one go, and only the computing is compared with other systems: here the
same steps are called one by one.
"""

import contextlib
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cases import catalogue
from benchmarks.systems.parties import Parties, free_addresses
from benchmarks.systems.worker import Array, Dealt, Outcome, elapsed, serve
from tacit.foundation.errors import TacitError, UnsupportedOperation

NAMES = ("alice", "bob")
DEADLINE_SECONDS = 600.0


class TacitOffline:
    """The launcher, and the dealer before each run."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()

    def start(self, protocol: str, tls: bool) -> float:
        if tls:
            raise ValueError("correlations dealt beforehand are measured without TLS")
        if protocol != "Assisted-offline":
            raise ValueError(f"{protocol} has no dealer that could deal beforehand")
        self._folder = Path(self._running.enter_context(tempfile.TemporaryDirectory(prefix="bench-tacit-")))
        self._dealings, self._inside, self._warm_up = 0, False, False
        begin = time.perf_counter()
        session = secrets.token_bytes(8)
        self._parties = self._running.enter_context(
            Parties(Party, len(NAMES), dict(zip(NAMES, free_addresses(len(NAMES)), strict=True)), session)
        )
        self._parties.wait_ready()
        return time.perf_counter() - begin

    def prepare(self, case: str, inputs: Sequence[Array]) -> None:
        import jax

        from tacit import OfflineJob
        from tacit.compile.build import compile_function

        function = catalogue()[case].function
        if len(inputs) < len(NAMES):  # a job needs inputs of both parties: bob's is a number that nothing uses
            inputs, function = [*inputs, np.zeros(1, np.float32)], lambda x, _, inner=function: inner(x)
        plan = [(NAMES[index % 2], array.shape) for index, array in enumerate(inputs)]
        try:
            self._job = OfflineJob(function, plan, reveal_to=["alice"], because="benchmark")
            compiled = compile_function(function, [jax.ShapeDtypeStruct(shape, np.float32) for _, shape in plan])
        except UnsupportedOperation as error:
            raise NotImplementedError(str(error)) from None
        self._parties.call_each(
            "prepare",
            [
                (compiled.data, self._job.description, {i: a for i, a in enumerate(inputs) if plan[i][0] == name})
                for name in NAMES
            ],
        )

    def deal(self) -> Dealt:
        """Deal for one run, and let both parties open their files and share their inputs."""
        self._leave()
        self._dealings += 1
        folder = self._folder / str(self._dealings)
        begin = time.perf_counter()
        try:
            paths = self._job.deal(folder)
        except UnsupportedOperation as error:
            raise NotImplementedError(f"cannot be dealt beforehand: {error}") from None
        seconds = time.perf_counter() - begin
        dealt = Dealt(seconds, sum(path.stat().st_size for path in paths.values()))
        self._parties.call("enter", str(folder))
        self._inside = True
        return dealt

    def run(self, warm_up: bool) -> float:
        answers = self._parties.call("run")
        self._warm_up = warm_up
        if warm_up:
            self._sent, self._rounds = [sent for *_, sent, _ in answers], max(rounds for *_, rounds in answers)
        return elapsed((began, ended) for began, ended, *_ in answers)

    def collect(self) -> Outcome:
        self._leave()
        return Outcome(self._outputs, self._sent, self._rounds)

    def stop(self) -> None:
        self._running.close()

    def _leave(self) -> None:
        """Open what the warm-up computed, and have the parties forget the run; apart from the run and its byte count."""
        if not self._inside:
            return
        if self._warm_up:
            self._outputs = self._parties.call("reveal")[0]
        self._parties.call("leave")
        shutil.rmtree(self._folder / str(self._dealings))
        self._inside = self._warm_up = False


class Party:
    """One party: what `tacit.schedule.offline` does at a party, step by step."""

    def __init__(self, rank: int, addresses: Mapping[str, str], session: bytes) -> None:
        from tacit.primitive.local import set_threads
        from tacit.resource.channel import LinkSettings, danger_plain_tcp
        from tacit.schedule.life import keep_memory
        from tacit.schedule.worker import SPIN_SECONDS

        keep_memory()  # as in a party process of a session
        set_threads(1)
        self._name = NAMES[rank]
        places = {name: (host, int(port)) for name, (host, _, port) in _split(addresses).items()}
        settings = LinkSettings(patience=DEADLINE_SECONDS, spin_seconds=SPIN_SECONDS)
        self._channels = danger_plain_tcp(self._name, places, session=session, settings=settings)

    def prepare(self, program: bytes, description: Mapping[str, Any], own: Mapping[int, Array]) -> None:
        from tacit.compile.plan import prepare
        from tacit.compile.serialize import digest, load
        from tacit.primitive.local import encode

        loaded = load(program)
        if digest(loaded) != description["program"]:
            raise TacitError("the job was planned for another program")
        self._description = description
        self._plan = prepare(loaded, description["fraction_bits"])
        self._own = {
            place: encode(array.astype(np.float64), description["fraction_bits"]) for place, array in own.items()
        }

    def enter(self, folder: str) -> None:
        """Spend the file of correlations and share the inputs."""
        from tacit.primitive.driver import Driver
        from tacit.primitive.mpc.assisted import offline
        from tacit.schedule.offline import DEALER

        self._path = Path(folder, f"{self._name}.correlations")
        self._driver = Driver(self._name, dict(self._channels), deadline=DEADLINE_SECONDS)
        opening = offline.open_session(self._driver, (*NAMES, DEALER), self._path, self._description)
        self._kernel = self._driver.run(opening)
        self._values = self._driver.run(self._share())

    def run(self) -> tuple[float, float, int, int]:
        """Compute; when it began and ended, the bytes sent and the rounds."""
        from tacit.compile.execute import execute

        profile = self._driver.profile
        sent, rounds = profile.payload, profile.rounds
        begin = time.perf_counter()
        self._outputs = self._driver.run(execute(self._kernel, self._driver, self._plan, self._values))
        return begin, time.perf_counter(), profile.payload - sent, profile.rounds - rounds

    def reveal(self) -> list[Array]:
        """Open the outputs to the party that the job names."""
        return self._driver.run(self._reveal())

    def leave(self) -> None:
        """Forget the run, and give back the room on disk at once."""
        self._path.with_suffix(".spent").write_bytes(b"")
        del self._driver, self._kernel, self._values, self._outputs

    async def _share(self) -> list[Any]:
        from tacit.primitive.mpc.value import Fixed

        bits = self._description["fraction_bits"]
        return [
            Fixed(await self._kernel.share(owner, tuple(shape), self._own.get(place)), bits)
            for place, (owner, shape) in enumerate(self._description["inputs"])
        ]

    async def _reveal(self) -> list[Array]:
        from tacit.primitive.local import decode
        from tacit.primitive.mpc.value import Boolean

        opened = []
        for value in self._outputs:
            if isinstance(value, Boolean):
                opened.append(await self._kernel.reveal_bits(value.share, self._description["reveal_to"]))
            else:
                ring = await self._kernel.reveal(value.share, self._description["reveal_to"])
                opened.append(None if ring is None else decode(ring, value.bits))
        return opened


def _split(addresses: Mapping[str, str]) -> dict[str, tuple[str, str, str]]:
    return {name: address.rpartition(":") for name, address in addresses.items()}


if __name__ == "__main__":
    serve(TacitOffline())
