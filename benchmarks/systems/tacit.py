"""Tacit: one process per party, TLS or plain TCP; `carol` is the helper of `Assisted` and a full party of `Replicated`."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

import tacit
from benchmarks.cases import catalogue
from benchmarks.systems.worker import Array, Outcome, serve

PARTIES = ("alice", "bob", "carol")


class Tacit:
    """The user's process; the parties are the session's."""

    def __init__(self) -> None:
        self._session: Any = None

    def start(self, protocol: str, tls: bool) -> float:
        begin = perf_counter()
        self._session = tacit.Session.local(*PARTIES, protocol=getattr(tacit, protocol)(), danger_plain_tcp=not tls)
        return perf_counter() - begin

    def prepare(self, case: str, inputs: Sequence[Array]) -> None:
        owners = [self._session.plain(PARTIES[index % 2]) for index in range(len(inputs))]
        mpc = self._session.mpc()
        self._secrets = [mpc.share(owner.put(array)) for owner, array in zip(owners, inputs, strict=True)]
        self._session.run(*self._secrets)
        self._program = mpc(catalogue()[case].function)

    def run(self, warm_up: bool) -> float:
        output = self._program(*self._secrets)
        self._session.run(output)
        profile = self._session.profile()
        if warm_up:
            self._output, self._profile = output, profile
        return profile.seconds

    def collect(self) -> Outcome:
        outputs = self._output if isinstance(self._output, tuple) else (self._output,)
        opened = [np.asarray(tacit.reveal(output, to="alice", because="benchmark")) for output in outputs]
        return Outcome(opened, self._profile.bytes, self._profile.rounds)

    def stop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


if __name__ == "__main__":
    serve(Tacit())
