"""A party's process: it holds the party's values and shares, and runs its side of every command of the session.

Started by a launcher as `python -m tacit.schedule.worker`, with its end of the control line inherited. It executes named
library functions, compiled programs and exported JAX functions; it never unpickles anything.
"""

from __future__ import annotations

import argparse
import hashlib
import signal
import socket
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeAlias, final

import numpy as np

from tacit.compile.execute import Plan, Tally, execute, prepare
from tacit.compile.program import Program
from tacit.compile.serialize import load
from tacit.foundation.errors import InputError, SessionError, TacitError, UnsupportedOperation
from tacit.foundation.ledger import Ledger
from tacit.primitive.driver import Driver, gather
from tacit.primitive.local import set_threads
from tacit.primitive.mpc.assisted.session import open_session as open_assisted
from tacit.primitive.mpc.kernel import Kernel, Ring
from tacit.primitive.mpc.value import Boolean, Fixed, Integer
from tacit.primitive.profile import Where
from tacit.resource.channel import LinkSettings
from tacit.schedule.agreement import agree
from tacit.schedule.control import DTYPES, ControlLine, Message
from tacit.schedule.crossing import dtype_of, encoded, kind_of, opened, shared
from tacit.schedule.life import die_with, keep_memory, report
from tacit.schedule.meeting import Door
from tacit.schedule.parts import part_secret, unite_secret
from tacit.schedule.procedure import PROCEDURES, PartyView, install
from tacit.schedule.shares import read_shares, write_shares
from tacit.schedule.siblings import PATIENCE_SECONDS, Handed, give, take

ALONE = frozenset({"get", "call", "encode", "constant", "save", "restore", "profile"})
"""Commands that touch no peer and are answered: an error in them leaves the session as it was."""
BESIDE = frozenset({"get", "call", "encode"})
"""Those that use nothing of a protocol's state: they run in threads of their own, beside what involves peers."""
THREADS = 2
SWITCH_SECONDS = 0.0005
"""How long a thread keeps the interpreter while another wants it: a protocol's rounds must not wait for local work."""
REPORT_SECONDS = 0.5
KEPT_FUNCTIONS = 64
SPIN_SECONDS = 0.0002
"""How long a party looks for a message before it sleeps: waking up costs more than most rounds (200 rounds of 64 products:
110 ms without, 45 ms with). It yields the processor while it looks, because parties may outnumber cores."""


OpenDoor: TypeAlias = Callable[[], Door]


@final
@dataclass(frozen=True, slots=True)
class OpenDevice:
    """One MPC device at this party: its end of the protocol, and a driver that counts operations among its parties."""

    kernel: Kernel
    bits: int
    driver: Driver


@final
@dataclass(frozen=True, slots=True)
class Running:
    """A program that is under way: since when, and how many of its steps are done."""

    began: float
    tally: Tally
    total: int


class Worker:
    """One party's values, devices and command handlers. Handler names are the command kinds."""

    def __init__(self, name: str, line: ControlLine, driver: Driver, ledger: Ledger, open_door: OpenDoor) -> None:
        self.name = name
        self.line = line
        self.siblings = Driver(name, {}, deadline=PATIENCE_SECONDS)  # the same party's other processes
        self.door: Door | None = None
        self._open_door = open_door
        self.driver = driver
        self.ledger = ledger
        self.values: dict[int, Any] = {}
        self.origins: dict[int, str] = {}  # which program made a secret value, or how else it came in
        self.devices: dict[int, OpenDevice] = {}
        self.programs: dict[str, Program] = {}
        self.plans: dict[tuple[str, int], Plan] = {}
        self.running = ""
        self.progress: Running | None = None
        self.functions: OrderedDict[bytes, Callable[..., Any]] = OrderedDict()
        self.state: dict[str, Any] = {}  # what procedures keep from one call to the next, by their own names
        self._queue: SimpleQueue[Message | Exception] = SimpleQueue()

    def serve(self) -> None:
        """Take commands until the session ends the line.

        What involves peers runs here, in the order in which it came, which is the same at every party. What this party
        does alone runs beside it. A command of ALONE that fails has touched no peer: it is answered by the error, and the
        party goes on. Any other error leaves the parties at different points of a protocol, and ends this process.
        """
        with ThreadPoolExecutor(THREADS, thread_name_prefix="beside") as pool:
            threading.Thread(target=self._take, args=(pool,), daemon=True).start()
            threading.Thread(target=self._tell, daemon=True).start()
            try:
                while (message := self._next()).kind != "stop":
                    self._handle(message, alone=message.kind in ALONE)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _next(self) -> Message:
        message = self._queue.get()
        if isinstance(message, Exception):
            raise message
        return message

    def _take(self, pool: ThreadPoolExecutor) -> None:
        """Read commands as they come, so that the session never waits to send one, and hand them on."""
        try:
            while True:
                message = self.line.receive()
                if message.kind == "put":
                    self._handle(message, alone=False)
                elif message.kind in BESIDE or (message.kind == "procedure" and message.fields.get("alone", True)):
                    pool.submit(self._handle, message, alone=True)
                else:
                    self._queue.put(message)
                if message.kind == "stop":
                    return
        except Exception as error:  # noqa: BLE001  it is raised where commands are handled
            self._queue.put(error)

    def _handle(self, message: Message, *, alone: bool) -> None:
        kind, call = message.kind, message.call
        handler: Callable[..., Any] | None = getattr(self, f"do_{kind}", None)
        if handler is None:
            raise SessionError(f"{self.name} knows no command {kind!r}")
        try:
            answer, arrays = handler(message.blobs, **message.fields) or (None, [])
            if call:
                self.line.send("answer", answer or {}, arrays, call=call)
        except Exception as error:
            if not alone:
                raise
            report(self.line, self.name, error, kind, fatal=False, call=call)

    def value(self, id: int) -> Any:
        """A value held here. Raises InputError when it is not."""
        try:
            return self.values[id]
        except KeyError:
            raise InputError(f"{self.name} holds no value {id}: it was dropped, or never made") from None

    # --- links --------------------------------------------------------------------------------------------------

    def do_listen(self, _: list[np.ndarray]) -> tuple[Mapping[str, Any], list[Any]]:
        """Open a door for others that the session will name."""
        self.door = self._open_door()
        return self.door.offer, []

    def do_connect(
        self,
        _: list[np.ndarray],
        *,
        offers: Mapping[str, Mapping[str, Any]],
        session: str,
        timeout: float,
        siblings: bool,
    ) -> tuple[dict[str, Any], list[Any]]:
        """Connect with everybody who offered, as peers or as processes of the same party."""
        driver, door = self.siblings if siblings else self.driver, self.door
        if door is None:
            raise SessionError(f"{self.name} was told to connect before it was told to listen")
        self.door = None
        settings = LinkSettings(patience=driver.deadline, spin_seconds=0.0 if siblings else SPIN_SECONDS)
        driver.channels.update(door.connect(offers, session, timeout, settings))
        return {}, []

    def do_hand(
        self, _: list[np.ndarray], *, sender: str, receiver: str, device: int | None, values: list[list[Any]]
    ) -> tuple[dict[str, Any], list[Any]]:
        """Give values to another process of this party, or take them: plain ones, or shares if a device is named."""
        at = None if device is None else self.devices[device]
        kernel, bits = (None, 0) if at is None else (at.kernel, at.bits)
        handed = [Handed.of(described) for described in values]
        if self.name == sender:
            give(self.siblings, receiver, [(each, self.value(each.id)) for each in handed], kernel, bits)
            return {}, []
        for each, value in zip(handed, take(self.siblings, sender, handed, kernel, bits), strict=True):
            self.values[each.id] = value
            self.origins[each.id] = f"handed over by {sender}"
        return {}, []

    def do_alias(self, _: list[np.ndarray], *, source: int, ids: list[int]) -> None:
        """Hold a value under more numbers: each is forgotten by itself."""
        for id in ids:
            self.values[id] = self.value(source)
            self.origins[id] = self.origins.get(source, "")

    @property
    def channels(self) -> list[Any]:
        """All links of this process."""
        return [*self.driver.channels.values(), *self.siblings.channels.values()]

    # --- plain values -------------------------------------------------------------------------------------------

    def do_put(self, blobs: list[np.ndarray], *, id: int) -> None:
        """Keep an array of this party's own."""
        self.values[id] = blobs[0]

    def do_get(self, _: list[np.ndarray], *, id: int) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Hand a plain value of this party to its user."""
        return {}, [np.asarray(self.value(id))]

    def do_drop(self, _: list[np.ndarray], *, ids: list[int]) -> None:
        """Forget values."""
        for id in ids:
            self.values.pop(id, None)
            self.origins.pop(id, None)

    def do_call(
        self, blobs: list[np.ndarray], *, inputs: list[int], outputs: list[int]
    ) -> tuple[dict[str, Any], list[Any]]:
        """Run an exported JAX function on plain values."""
        import jax

        with jax.enable_x64(True):  # the party's own values keep their double precision
            results = self._function(blobs[0])(*[self.value(id) for id in inputs])
        self.values.update(zip(outputs, [np.asarray(result) for result in results], strict=True))
        return {}, []

    def _function(self, blob: np.ndarray) -> Callable[..., Any]:
        """An exported function, compiled once for as long as it is among those used last."""
        import jax
        from jax import export

        key = hashlib.sha256(blob.data).digest()
        function = self.functions.pop(key, None) or jax.jit(export.deserialize(bytearray(blob.tobytes())).call)
        self.functions[key] = function
        while len(self.functions) > KEPT_FUNCTIONS:
            self.functions.popitem(last=False)
        return function

    def do_procedure(
        self,
        blobs: list[np.ndarray],
        *,
        name: str,
        inputs: list[int],
        outputs: list[int],
        params: Mapping[str, Any],
        alone: bool = True,
    ) -> tuple[dict[str, Any], list[Any]]:
        """Run a named library procedure with this party's plain values; its results become plain values.

        alone: it talks to nobody, and runs beside what does: it must leave the driver and its counters as they are.
        """
        if name not in PROCEDURES:
            raise UnsupportedOperation(f"no procedure {name!r}; this node knows {sorted(PROCEDURES)}")
        given = [self.value(id) for id in inputs]
        view = PartyView(self.name, self.driver, self.ledger, given, blobs, self.state)
        profile = self.driver.profile
        before = profile.rounds, profile.payload, profile.messages
        began = time.perf_counter()
        with nullcontext() if alone else self.driver.detour():
            results, facts = PROCEDURES[name](view, **params)
        self.values.update(zip(outputs, results, strict=False))
        shapes = [[list(np.shape(result)), dtype_of(result).str] for result in results]
        if alone:
            before = profile.rounds, profile.payload, profile.messages  # what was sent meanwhile was not for this
        return {"shapes": shapes, "facts": facts, **self._cost(began, *before)}, []

    def do_move(
        self,
        _: list[np.ndarray],
        *,
        sender: str,
        receiver: str,
        source: int,
        id: int,
        shape: list[int],
        dtype: str,
        because: str = "",
        line: str = "",
    ) -> tuple[dict[str, Any], list[Any]]:
        """Send an array from one party to another as it is. `because`: it is readable there, and goes into the ledgers."""
        kind = np.dtype(dtype)
        if kind.str not in DTYPES:
            raise InputError(f"an array of type {dtype!r} does not move between parties")
        if because:
            self.ledger.append(
                "reveal", what=kind.name, shape=shape, to=[receiver], because=because, line=line, program=""
            )
        began = time.perf_counter()
        profile = self.driver.profile
        before = profile.rounds, profile.payload, profile.messages
        held = np.empty(shape, kind) if self.name == receiver else np.asarray(self.value(source))
        array = np.ascontiguousarray(held).reshape(held.shape)  # which it makes one axis of none
        if (list(array.shape), array.dtype) != (shape, kind):
            raise InputError(f"value {source} is {array.dtype}{list(array.shape)}, not {kind}{shape}")
        flat = array.reshape(-1).view(np.uint8)

        async def body() -> None:
            sends, receives = ([(receiver, flat)], []) if self.name == sender else ([], [(sender, flat)])
            await self.driver.exchange(sends, receives)

        with self.driver.detour():
            self.driver.run(body(), Where(0, "move", line))
        if self.name == receiver:
            self.values[id] = array
        return self._cost(began, *before), []

    # --- secret values ------------------------------------------------------------------------------------------

    def do_open(
        self, _: list[np.ndarray], *, device: int, protocol: str, names: list[str], fraction_bits: int, exact: bool
    ) -> tuple[dict[str, Any], list[Any]]:
        """Open an MPC device."""
        if self.name in names:
            opener = open_assisted if protocol == "assisted" else _replicated()
            channels = {peer: self.driver.channels[peer] for peer in names if peer != self.name}
            driver = Driver(self.name, channels, deadline=self.driver.deadline)
            driver.profile = self.driver.profile
            kernel = driver.run(opener(driver, names, exact=exact), Where(0, "open"))
            kernel.witness = self._witness
            self.devices[device] = OpenDevice(kernel, fraction_bits, driver)
        return {}, []

    def do_encode(self, _: list[np.ndarray], *, device: int, source: int, id: int) -> tuple[dict[str, Any], list[Any]]:
        """Check and encode a plain value for sharing, before anything moves."""
        ring, kind = encoded(np.asarray(self.value(source)), self.devices[device].bits)
        self.values[id] = ring
        return {"shape": list(ring.shape), "kind": kind}, []

    def do_share(self, _: list[np.ndarray], *, device: int, owner: str, id: int, shape: list[int], kind: str) -> None:
        """Share the encoded value `id` of `owner`."""
        at = self.devices[device]
        ring: Ring | None = self.values.get(id) if owner == self.name else None
        self.values[id] = at.driver.run(shared(at.kernel, at.bits, owner, tuple(shape), ring, kind), Where(0, "share"))
        self.origins[id] = f"input of {owner}"

    def do_constant(self, blobs: list[np.ndarray], *, device: int, id: int) -> tuple[dict[str, Any], list[Any]]:
        """Embed a public array as a secret."""
        kernel, bits = self.devices[device].kernel, self.devices[device].bits
        ring, kind = encoded(blobs[0], bits)
        if kind == "bool":
            self.values[id] = Boolean(kernel.public_bits(blobs[0]))
        else:
            self.values[id] = Fixed(kernel.public(ring), bits) if kind == "fixed" else Integer(kernel.public(ring))
        self.origins[id] = "public constant"
        return {"kind": kind}, []

    def do_save(
        self, _: list[np.ndarray], *, device: int, ids: list[int], names: list[str], folder: str, model: str
    ) -> tuple[dict[str, Any], list[Any]]:
        """Write this party's shares to its own file."""
        path = Path(folder) / f"{self.name}.share"
        values = {name: self.value(id) for name, id in zip(names, ids, strict=True)}
        write_shares(path, self.devices[device].kernel, self.name, model, values)
        self.ledger.append("save", what=names, model=model, file=path.name)
        return {"file": str(path)}, []

    def do_restore(
        self, _: list[np.ndarray], *, device: int, ids: list[int], names: list[str], folder: str
    ) -> tuple[dict[str, Any], list[Any]]:
        """Read this party's shares back."""
        path = Path(folder) / f"{self.name}.share"
        model, values = read_shares(path, self.devices[device].kernel, self.name, names)
        self.values.update(zip(ids, values, strict=True))
        self.origins.update(dict.fromkeys(ids, f"restored from model {model}"))
        return {"model": model, "values": [[kind_of(value), list(value.shape)] for value in values]}, []

    def do_program(self, blobs: list[np.ndarray], *, digest: str) -> None:
        """Receive a compiled program."""
        self.programs[digest] = load(blobs[0].tobytes())

    def do_run(
        self, _: list[np.ndarray], *, device: int, digest: str, inputs: list[int], outputs: list[int], timing: bool
    ) -> tuple[dict[str, Any], list[Any]]:
        """Run a program on secret values; its results stay here as shares."""
        at = self.devices[device]
        profile = self.driver.profile
        profile.timing = timing
        before = profile.rounds, profile.payload, profile.messages
        if (digest, at.bits) not in self.plans:
            self.plans[digest, at.bits] = prepare(self.programs[digest], at.bits)
        plan = self.plans[digest, at.bits]
        self.running = digest
        began = time.perf_counter()
        values = [self.value(id) for id in inputs]
        tally = Tally()
        self.progress = Running(began, tally, plan.size)
        both = gather(agree(at.driver, digest), execute(at.kernel, at.driver, plan, values, tally=tally))
        _, results = at.driver.run(both, Where(0, "program", plan.nodes[0].line if plan.nodes else ""))
        self.progress = None
        self.values.update(zip(outputs, results, strict=True))
        self.origins.update(dict.fromkeys(outputs, digest))
        return self._cost(began, *before), []

    def do_reveal(
        self,
        _: list[np.ndarray],
        *,
        device: int,
        ids: list[int],
        to: list[str],
        because: str,
        line: str,
        keep: list[int] | None = None,
        noise: Mapping[str, Any] | None = None,
    ) -> tuple[dict[str, Any], list[Any]]:
        """Open secret values to the parties named; write it down first, so that no value goes out unrecorded.

        keep: the receivers hold the values as plain values under these numbers; else they are handed to their users.
        noise: what is added first, see `add_noise`; no party ever knows it.
        """
        at = self.devices[device]
        values = [self.value(id) for id in ids]
        for id, value in zip(ids, values, strict=True):
            self.ledger.append(
                "reveal",
                what=kind_of(value),
                shape=list(value.shape),
                to=to,
                because=because,
                line=line,
                program=self.origins.get(id, ""),
                **({"noise": dict(noise)} if noise else {}),
            )
        opening = gather(*[opened(at.kernel, value, to, self.name, noise) for value in values])
        plain = at.driver.run(opening, Where(0, "reveal", line))
        arrays = [array for array in plain if array is not None]
        if keep is None or not arrays:
            return {}, arrays
        self.values.update(zip(keep, arrays, strict=True))
        return {}, []

    def do_part(
        self, _: list[np.ndarray], *, device: int, source: int, masker: str, other: str, ids: Mapping[str, int]
    ) -> None:
        """Split a secret into two plain ring arrays whose sum it is: each alone is uniformly random."""
        at = self.devices[device]
        part = at.driver.run(
            part_secret(at.kernel, self.name, self.value(source).share, masker, other), Where(0, "part")
        )
        if part is not None:
            self.values[ids[self.name]] = part

    def do_unite(
        self,
        _: list[np.ndarray],
        *,
        device: int,
        parts: Mapping[str, int],
        id: int,
        shape: list[int],
        kind: str,
        bits: int,
    ) -> tuple[dict[str, Any], list[Any]]:
        """A secret from ring arrays whose sum it is, each a party's own. bits: the fraction bits they carry."""
        at = self.devices[device]
        mine = self.value(parts[self.name]) if self.name in parts else None
        body = unite_secret(
            at.kernel, self.name, list(parts), mine, tuple(shape), bits - at.bits if kind == "fixed" else 0
        )
        share = at.driver.run(body, Where(0, "unite"))
        self.values[id] = Fixed(share, at.bits) if kind == "fixed" else Integer(share)
        self.origins[id] = "brought from another device"
        return {}, []

    def do_profile(self, _: list[np.ndarray]) -> tuple[dict[str, Any], list[Any]]:
        """This party's counters."""
        profile = self.driver.profile
        rows = [
            [name, line, entry.messages, entry.payload, entry.seconds, entry.calls]
            for (name, line), entry in profile.by_operation.items()
        ]
        return {
            "rounds": profile.rounds,
            "messages": profile.messages,
            "bytes": profile.payload,
            "waited": profile.waited,
            "values": len(self.values),
            "by_peer": profile.by_peer,
            "handed": self.siblings.profile.by_peer,
            "by_operation": rows,
            "ledger": str(self.ledger.path),
            "ledger_head": self.ledger.head,
        }, []

    def do_threads(self, _: list[np.ndarray], *, count: int) -> None:
        """Threads that kernels of this process may use."""
        set_threads(count)

    def _tell(self) -> None:
        """Tell the session now and then how far a program is, if one is running."""
        while True:
            time.sleep(REPORT_SECONDS)
            running = self.progress
            if running is not None and time.perf_counter() - running.began > REPORT_SECONDS:
                with suppress(TacitError):  # the session is gone: others see to that
                    self.line.send("progress", {"done": running.tally.done, "of": running.total})

    def _witness(self, what: str, shape: tuple[int, ...]) -> None:
        """Write down a value that a protocol opened by design."""
        self.ledger.append("opened", what=what, shape=list(shape), to="all parties", program=self.running)

    def _cost(self, began: float, rounds: int, payload: int, messages: int) -> dict[str, Any]:
        profile = self.driver.profile
        ended = time.perf_counter()
        return {
            "seconds": ended - began,
            "began": began,  # on a clock that all processes of a Linux machine share
            "ended": ended,
            "rounds": profile.rounds - rounds,
            "bytes": profile.payload - payload,
            "messages": profile.messages - messages,
        }


def _replicated() -> Callable[..., Any]:
    from tacit.primitive.mpc.replicated.session import open_session

    return open_session


def main() -> None:
    """Run one party until its session ends. Exit status 0 in good order, 1 after an error that was reported."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the session decides when a party stops, and ends the control line
    keep_memory()
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", type=int, required=True)
    line = ControlLine(socket.socket(fileno=parser.parse_args().control), "the session")
    try:
        config = line.receive().fields
    except TacitError:  # whoever started this process is gone
        sys.exit(1)
    name = config["name"]
    die_with(line, parent=config["parent"], by_signal=config["parent_is_main_thread"])
    worker: Worker | None = None
    try:
        install(config["procedures"])
        driver = Driver(name, {}, deadline=config["deadline"])
        ledger = Ledger(Path(config["ledger"]), name)
        sys.setswitchinterval(SWITCH_SECONDS)
        open_door = partial(Door, name, config["host"], plain_tcp=config["danger_plain_tcp"])
        worker = Worker(name, line, driver, ledger, open_door)
        line.send("answer", {"ready": name})
        worker.serve()
    except Exception as error:  # noqa: BLE001  whatever it is: the session and the peers are told its kind and place
        report(line, name, error, "", fatal=True)
        for channel in worker.channels if worker is not None else ():
            channel.abort(type(error).__name__)
        sys.exit(1)
    finally:
        for channel in worker.channels if worker is not None else ():
            channel.close()


if __name__ == "__main__":
    main()
