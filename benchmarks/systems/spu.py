"""SecretFlow SPU: one process per party, brpc over TCP without TLS, 64-bit ring, default configuration.

`SEMI2K-TFP` takes its correlated randomness from party 0 (the only way the released wheel offers): faster than any
two-party protocol without a dealer, and not a two-party security model.
"""

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.systems.parties import Parties, free_addresses
from benchmarks.systems.worker import Array, Outcome, elapsed, serve

PROTOCOLS = {"ABY3": ("ABY3", 3), "SEMI2K-TFP": ("SEMI2K", 2)}
SENT = re.compile(r"Link details: total send bytes (\d+), recv bytes \d+, send actions (\d+)")


class Spu:
    """The launcher: compiles each JAX function once, makes the shares and hands both to the parties."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()

    def start(self, protocol: str, tls: bool) -> float:
        if tls:
            raise ValueError("SPU is measured without TLS")
        kind, count = PROTOCOLS[protocol]
        folder = self._running.enter_context(tempfile.TemporaryDirectory(prefix="bench-spu-"))
        self._logs = [Path(folder, f"party{rank}.log") for rank in range(count)]
        begin = time.perf_counter()
        self._parties = self._running.enter_context(
            Parties(Party, count, kind, free_addresses(count), [str(path) for path in self._logs])
        )
        self._parties.wait_ready()
        seconds = time.perf_counter() - begin
        import spu

        self._io = spu.Io(count, _configuration(kind, profile=False))
        return seconds

    def prepare(self, case: str, inputs: Sequence[Array]) -> None:
        import spu

        executable = _compile(case, inputs)
        by_input = [self._io.make_shares(array, spu.Visibility.VIS_SECRET) for array in inputs]
        by_party = [(executable, list(shares)) for shares in zip(*by_input, strict=True)]
        self._log_sizes = [path.stat().st_size if path.exists() else 0 for path in self._logs]
        self._parties.call_each("prepare", by_party)

    def run(self, warm_up: bool) -> float:
        return elapsed(self._parties.call("run", warm_up))

    def collect(self) -> Outcome:
        by_party = self._parties.call("collect")
        outputs = [np.asarray(self._io.reconstruct(list(shares))) for shares in zip(*by_party, strict=True)]
        counters = [self._read_counters(path, size) for path, size in zip(self._logs, self._log_sizes, strict=True)]
        sent = [counter for counter in counters if counter]
        if len(sent) < len(counters):
            return Outcome(outputs, None, None)
        return Outcome(outputs, [size for size, _ in sent], max(actions for _, actions in sent))

    def stop(self) -> None:
        self._running.close()

    @staticmethod
    def _read_counters(log: Path, offset: int) -> tuple[int, int] | None:
        """Bytes and send actions of one party, which SPU's profiler prints at the end of the warm-up."""
        deadline = time.monotonic() + 2  # the logger writes behind
        while time.monotonic() < deadline:
            found = SENT.findall(log.read_bytes()[offset:].decode(errors="replace"))
            if found:
                return int(found[-1][0]), int(found[-1][1])
            time.sleep(0.05)
        return None


class Party:
    """One SPU party."""

    def __init__(self, rank: int, kind: str, addresses: list[str], logs: list[str]) -> None:
        import spu
        from spu import libspu

        options = libspu.logging.LogOptions()
        options.enable_console_logger = False
        options.system_log_path = logs[rank]
        libspu.logging.setup_logging(options)
        link = libspu.link.Desc()
        link.recv_timeout_ms = 3600 * 1000
        link.http_timeout_ms = 600 * 1000
        link.connect_retry_times = 300
        link.connect_retry_interval_ms = 100
        for other, address in enumerate(addresses):
            link.add_party(f"party{other}", address)
        self._link = libspu.link.create_brpc(link, rank)
        self._link.barrier()
        self._plain = spu.Runtime(self._link, _configuration(kind, profile=False))
        self._profiled = spu.Runtime(self._link, _configuration(kind, profile=True))

    def prepare(self, executable: bytes, shares: list[Any]) -> None:
        from spu import libspu

        self._executable = libspu.Executable()
        self._executable.ParseFromString(executable)
        for runtime in (self._plain, self._profiled):
            for name, share in zip(self._executable.input_names, shares, strict=True):
                runtime.set_var(name, share)

    def run(self, warm_up: bool) -> tuple[float, float]:
        runtime = self._profiled if warm_up else self._plain
        begin = time.perf_counter()
        runtime.run(self._executable)
        return begin, time.perf_counter()

    def collect(self) -> list[Any]:
        shares = [self._profiled.get_var(name) for name in self._executable.output_names]
        names = {*self._executable.input_names, *self._executable.output_names}
        for runtime in (self._plain, self._profiled):
            for name in names:  # Runtime.clear() does not work in 0.9.5
                try:
                    runtime.del_var(name)
                except RuntimeError:
                    continue  # never set in this runtime
        return shares


def _configuration(kind: str, *, profile: bool) -> Any:
    from spu import libspu

    configuration = libspu.RuntimeConfig()
    configuration.protocol = getattr(libspu.ProtocolKind, kind)
    configuration.field = libspu.FieldType.FM64
    configuration.enable_pphlo_profile = profile
    return configuration


def _compile(case: str, inputs: Sequence[Array]) -> bytes:
    from spu import libspu
    from spu.utils import frontend

    from benchmarks.cases import catalogue

    executable, _ = frontend.compile(
        frontend.Kind.JAX,
        catalogue()[case].function,
        list(inputs),
        {},
        [f"in{index}" for index in range(len(inputs))],
        [libspu.Visibility.VIS_SECRET] * len(inputs),
        lambda outputs: [f"out{index}" for index in range(len(outputs))],
        copts=libspu.CompilerOptions(),
    )
    return executable.SerializeToString()


if __name__ == "__main__":
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    serve(Spu())
