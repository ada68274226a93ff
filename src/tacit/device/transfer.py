"""The conversion matrix: how a value moves from one kind of device to another. A missing pair is an error at plan time.

Every conversion is one node of the graph; its docstring says who learns what, and what it costs. Where a party learns a
value, `because` is needed and is written into the ledgers.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from tacit.device.caller import user_line
from tacit.device.executor import Request, Steps, ask, tell
from tacit.device.handle import Device, Handle, Task
from tacit.device.mpc import MPC
from tacit.device.plain import Plain, PlainValue
from tacit.device.secret import Secret
from tacit.foundation.errors import ConfigError, InputError, NoRoute

VALUE_TYPES = {"f": np.float64, "i": np.int64, "u": np.int64, "b": np.bool_}
"""What a number of a program is outside of it."""


def transfer(value: Handle, device: Device, *, because: str = "") -> Any:
    """The value on another device. Raises NoRoute, InputError for a missing reason, ConfigError for a stranger."""
    if value.device is device:
        return value
    pair = (type(value.device), type(device))
    if pair not in TRANSFERS:
        raise NoRoute(f"nothing brings a value from {value.device!r} to {device!r} at once. {_advice(*pair)}")
    return TRANSFERS[pair](value, device, because)


def needs_reason(value: Handle, device: Device, because: str) -> str:
    """The reason for showing a value to somebody. Raises InputError when there is none."""
    if not because.strip():
        raise InputError(
            f"{device!r} would learn {value!r}: say why with because='...', which goes into the ledgers, or keep it on a "
            "device that hides it"
        )
    return because


def _advice(source: type, target: type) -> str:
    """A way round, by the fewest conversions."""
    ways: dict[type, list[type]] = {source: []}
    queue = deque([source])
    while queue:
        here = queue.popleft()
        for start, end in TRANSFERS:
            if start is here and end not in ways:
                ways[end] = [*ways[here], end]
                queue.append(end)
    if target not in ways or len(ways[target]) < 2:
        return "There is no way round either."
    return "Go by " + ", then ".join(f".to({kind.__name__} device)" for kind in ways[target]) + "."


# --- the conversions --------------------------------------------------------------------------------------------------


def plain_to_plain(value: PlainValue, device: Plain, because: str) -> PlainValue:
    """Show a party's own value to another party.

    Reveals: the value, to the receiver, by the owner's decision. Costs: 1 round, the array's bytes.
    """
    reason, line = needs_reason(value, device, because), user_line()
    owner = value.device.party

    def steps() -> Steps:
        fields = {
            "sender": owner,
            "receiver": device.party,
            "source": value.id,
            "id": moved.id,
            "shape": list(value.shape),
            "dtype": value.dtype.str,
            "because": reason,
            "line": line,
        }
        yield ask([owner, device.party], "move", fields)

    moved = PlainValue(device, value.shape, value.dtype, node=Task(device, "show", [value], line, steps))
    return moved


def plain_to_mpc(value: PlainValue, device: MPC, because: str) -> Secret:  # noqa: ARG001  nobody learns anything
    """Share a party's own value; see `MPC.share`. Reveals: nothing. Costs: 1 round, 8 bytes per element."""
    return device.share(value)


def mpc_to_plain(value: Secret, device: Plain, because: str) -> PlainValue:
    """Open a secret to one party, where it stays.

    Reveals: the value, to that party. Costs: 1 round, 8 bytes per element (1 bit for truth values) to it.
    """
    reason, line, source = needs_reason(value, device, because), user_line(), value.device
    if device.party not in source.names:
        raise ConfigError(f"{device.party} takes no part in {source!r}; open to {', '.join(source.names)}")

    def steps() -> Steps:
        fields = {
            "device": source.number,
            "ids": [value.id],
            "to": [device.party],
            "because": reason,
            "line": line,
            "keep": [opened.id],
        }
        yield ask(source.names, "reveal", fields)

    task = Task(device, "reveal", [value], line, steps)
    opened = PlainValue(device, value.shape, VALUE_TYPES[value.dtype.kind], node=task)
    return opened


def mpc_to_mpc(value: Secret, device: MPC, because: str) -> Secret:  # noqa: ARG001
    """From one protocol to another, by two parties that take part in both.

    Reveals: nothing; each of the two sees a uniformly random part. Costs: 3 rounds, about 24 bytes per element.
    """
    source = value.device
    both = [party for party in source.names if party in device.names]
    if len(both) < 2:
        raise ConfigError(
            f"{source!r} and {device!r} have {len(both)} parties in common; a secret moves between them by two"
        )
    masker, other = both[0], both[1]
    ids = {party: device.executor.new_id() for party in (masker, other)}
    kind = secret_kind(value)

    def steps() -> Steps:
        yield part_request(value, masker, other, ids)
        yield from unite_steps(moved, ids, kind, source.protocol.fraction_bits)

    moved = Secret(
        device, value.shape, value.dtype, node=Task(device, "to " + repr(device), [value], user_line(), steps)
    )
    return moved


def secret_kind(value: Secret) -> str:
    """Raises InputError for truth values, which have no ring parts."""
    if value.dtype.kind == "b":
        raise InputError(f"{value!r} is a truth value; convert it with .astype(int) before it moves to another device")
    return "fixed" if value.dtype.kind == "f" else "int"


def part_request(value: Secret, masker: str, other: str, ids: dict[str, int]) -> Request:
    """Part a secret into two parties' ring arrays; see `tacit.schedule.parts`."""
    fields = {"device": value.device.number, "source": value.id, "masker": masker, "other": other, "ids": ids}
    return tell(value.device.names, "part", fields)


def unite_steps(secret: Secret, parts: dict[str, int], kind: str, bits: int) -> Steps:
    """Make a secret of two parties' ring arrays, which are dropped then. bits: the fraction bits they carry."""
    device = secret.device
    fields = {
        "device": device.number,
        "parts": parts,
        "id": secret.id,
        "shape": list(secret.shape),
        "kind": kind,
        "bits": bits,
    }
    yield ask(device.names, "unite", fields)
    device.executor.drop_later(list(parts.values()))


TRANSFERS: dict[tuple[type, type], Callable[[Any, Any, str], Handle]] = {
    (Plain, Plain): plain_to_plain,
    (Plain, MPC): plain_to_mpc,
    (MPC, Plain): mpc_to_plain,
    (MPC, MPC): mpc_to_mpc,
}
"""The whole matrix: (from, to) and what is done."""
