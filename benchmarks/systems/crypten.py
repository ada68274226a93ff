"""CrypTen: one process per party, gloo over TCP without TLS, 16 fraction bits, one torch thread each.

`2PC-TFP` takes its correlated randomness from party 0: faster than any two-party protocol without a dealer, and not a
two-party security model. `2PC-TTP` adds a dealer process.
"""

import contextlib
import os
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.systems.crypten_cases import CASES
from benchmarks.systems.parties import Parties
from benchmarks.systems.worker import Array, Outcome, elapsed, serve

PARTIES = 2
PROVIDERS = {"2PC-TFP": "TFP", "2PC-TTP": "TTP"}


class CrypTen:
    """The launcher."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()

    def start(self, protocol: str, tls: bool) -> float:
        if tls:
            raise ValueError("CrypTen has no TLS")
        provider = PROVIDERS[protocol]
        folder = self._running.enter_context(tempfile.TemporaryDirectory(prefix="bench-crypten-"))
        meeting = str(Path(folder, "rendezvous"))
        begin = time.perf_counter()
        self._parties = self._running.enter_context(Parties(Party, PARTIES, provider, meeting))
        if provider == "TTP":
            self._parties.start_helper(Dealer, provider, meeting)
        self._parties.wait_ready()
        return time.perf_counter() - begin

    def prepare(self, case: str, inputs: Sequence[Array]) -> None:
        if case not in CASES:
            raise NotImplementedError(f"CrypTen has no {case}")
        self._leave = CASES[case].leave
        self._parties.call("prepare", case, CASES[case].enter(*inputs))

    def run(self, warm_up: bool) -> float:
        return elapsed(self._parties.call("run", warm_up))

    def collect(self) -> Outcome:
        outputs, rounds = self._parties.call("collect")[0]
        return Outcome(self._leave(*outputs), None, rounds)

    def stop(self) -> None:
        self._running.close()


class Party:
    """One CrypTen party."""

    def __init__(self, rank: int, provider: str, meeting: str) -> None:
        self._crypten = _join(rank, provider, meeting)
        self._crypten.init()

    def prepare(self, case: str, inputs: Sequence[Array]) -> None:
        import torch

        tensors = [torch.tensor(array) for array in inputs]
        self._inputs = [self._crypten.cryptensor(tensor, src=i % PARTIES) for i, tensor in enumerate(tensors)]
        self._function = CASES[case].function

    def run(self, warm_up: bool) -> tuple[float, float]:
        from crypten.config import cfg

        if warm_up:
            cfg.communicator.verbose = True
            self._crypten.reset_communication_stats()
        begin = time.perf_counter()
        outputs = self._function(*self._inputs)
        end = time.perf_counter()
        if warm_up:
            self._rounds = self._crypten.communicator.get().get_communication_stats()["rounds"]
            self._outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            cfg.communicator.verbose = False
        return begin, end

    def collect(self) -> tuple[list[Array], int]:
        return [_open(output) for output in self._outputs], self._rounds


class Dealer:
    """The trusted third party; serves until it is ended."""

    def __init__(self, rank: int, provider: str, meeting: str) -> None:
        _join(rank, provider, meeting).mpc.provider.TTPServer()


def _join(rank: int, provider: str, meeting: str) -> Any:
    warnings.filterwarnings("ignore")
    os.environ |= {
        "WORLD_SIZE": str(PARTIES),
        "RANK": str(rank),
        "RENDEZVOUS": f"file://{meeting}",
        "DISTRIBUTED_BACKEND": "gloo",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    import torch

    torch.set_num_threads(1)
    # crypten 0.4.1 imports an ONNX module that torch 2.13 no longer has; nothing here uses it.
    stub: Any = types.ModuleType("crypten.nn.onnx_converter")
    stub.from_onnx = stub.from_pytorch = stub.from_tensorflow = None
    stub.TF_AND_TF2ONNX = False
    sys.modules[stub.__name__] = stub
    import crypten
    from crypten.config import cfg

    cfg.mpc.provider = provider
    return crypten


def _open(tensor: Any) -> Array:
    """Open and decode; CrypTen's own decoder is off by one for some negative values."""
    return tensor.reveal().double().numpy() / float(tensor.encoder.scale)


if __name__ == "__main__":
    serve(CrypTen())
