"""Tacit: one process per party, TLS or plain TCP; `carol` is the helper of `Assisted` and a full party of `Replicated`."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

import numpy as np

import tacit
from benchmarks.cases import catalogue
from benchmarks.systems.worker import Array, Outcome, elapsed, serve

PARTIES = ("alice", "bob", "carol")


class Tacit:
    """The user's process; the parties are the session's."""

    def __init__(self) -> None:
        self._session: Any = None

    def start(self, protocol: str, tls: bool) -> float:
        begin = perf_counter()
        self._session = tacit.Session.local(*PARTIES, danger_plain_tcp=not tls)
        self._mpc = self._session.mpc(getattr(tacit, protocol)())
        return perf_counter() - begin

    def prepare(self, case: str, inputs: Sequence[Array]) -> None:
        owners = [self._session.plain(PARTIES[index % 2]) for index in range(len(inputs))]
        self._secrets = [self._mpc.share(owner.put(array)) for owner, array in zip(owners, inputs, strict=True)]
        self._program = self._mpc(catalogue()[case].function)
        self._session.profile()  # answered when every party has done what it was told before: has shared

    def run(self, warm_up: bool) -> float:
        output = self._program(*self._secrets)
        self._session.run(output)
        facts = self._mpc.last_run.values()
        if warm_up:
            self._output, self._facts = output, facts
        return elapsed((party["began"], party["ended"]) for party in facts)

    def collect(self) -> Outcome:
        outputs = self._output if isinstance(self._output, tuple) else (self._output,)
        opened = [np.asarray(tacit.reveal(output, to="alice", because="benchmark")) for output in outputs]
        sent, rounds = [party["bytes"] for party in self._facts], max(party["rounds"] for party in self._facts)
        return Outcome(opened, sent, rounds)

    def stop(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None


if __name__ == "__main__":
    serve(Tacit())
