"""Lanes: more processes for parties that outgrow one, each set of them computing on its own rows.

A lane is an MPC device of the same protocol between processes of its own, one for each party: with links of their own, and
randomness of their own. Lane 0 is the device that the lanes were made for; the others are new. Shares add, so what is a sum
over rows (a gradient, a histogram, a count) is computed in every lane on its rows, handed to lane 0 inside each party, share by
share, and added there.

Threat model: that of the protocol, in every lane; a party is all of its processes together. Functionality: `map` is the
program on every lane's rows; `sum` is the sum of its results modulo 2^64. Leakage: none; no party sends another anything for
handing or adding. Costs: the program's in every lane, side by side; within each party, 8 bytes per element of what is handed
(16 under `Replicated`, none at the helper of `Assisted`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, final

import jax

from tacit.device.caller import user_line
from tacit.device.executor import Request, Steps, tell
from tacit.device.handle import Handle, Task
from tacit.device.mpc import MPC
from tacit.device.plain import Plain, PlainValue
from tacit.device.secret import Secret
from tacit.foundation.errors import ConfigError, InputError, ShapeError

KINDS = {"f": "fixed", "i": "int"}


@final
class Parts:
    """One shared array in pieces by rows, a secret in each lane. Made by `Lanes.share` and `Lanes.map`.

    `session.run(parts)` computes it. To reveal it, gather it first: each piece belongs to a device of its own.
    """

    __slots__ = ("_lanes", "pieces")

    def __init__(self, lanes: Lanes, pieces: Sequence[Secret]) -> None:
        self._lanes = lanes
        self.pieces = tuple(pieces)

    @property
    def lanes(self) -> Lanes:
        """The lanes that hold it."""
        return self._lanes

    def __repr__(self) -> str:
        shapes = ", ".join(str(list(piece.shape)) for piece in self.pieces)
        return f"Parts({self.pieces[0].dtype} {shapes} in {len(self.pieces)} lanes)"


def _children(parts: Parts) -> tuple[tuple[Secret, ...], Lanes]:
    """Lane 0 last: what the other lanes wait for, it has to hand over before it has a program of its own to run."""
    return parts.pieces[::-1], parts.lanes


jax.tree_util.register_pytree_node(Parts, _children, lambda lanes, pieces: Parts(lanes, pieces[::-1]))


@final
class Lanes:
    """The lanes of an MPC device. Make them with `Session.lanes`; they live as long as the session."""

    def __init__(self, devices: Sequence[MPC]) -> None:
        self.devices = tuple(devices)
        self.base = devices[0]
        executor = self.base.executor
        self._plain = [{name: Plain(executor, own) for name, own in self._names(device)} for device in devices]
        self._copies: dict[tuple[int, int], Secret] = {}  # by number and lane, as long as the original lives

    def __len__(self) -> int:
        return len(self.devices)

    def __repr__(self) -> str:
        return f"Lanes({len(self)} of {self.base!r})"

    def share(self, value: PlainValue | Secret) -> Parts:
        """Split an array by rows, as evenly as can be, and share every lane's rows in that lane.

        A party's plain rows go from its own process to its own process; a secret's, as shares, likewise at every party.
        Reveals: nothing. Costs: for a plain value, as sharing it; for a secret, nothing between parties.
        Raises: ShapeError for fewer rows than lanes; ConfigError for an owner who takes no part; what `MPC.share` raises.
        """
        rows = value.shape[0] if value.shape else 0
        if rows < len(self):
            raise ShapeError(f"{value!r} has {rows} rows, fewer than the {len(self)} lanes; use fewer lanes")
        bounds = [lane * rows // len(self) for lane in range(len(self) + 1)]
        slices = [_rows(begin, end) for begin, end in pairwise(bounds)]
        if isinstance(value, Secret):
            self._check(value)
            pieces = [self.base(piece)(value) for piece in slices]
            parts = [self._hand([piece], lane)[0] if lane else piece for lane, piece in enumerate(pieces)]
        else:
            owner = value.device.party
            if owner not in self.base.names:
                raise ConfigError(f"{owner} takes no part in {self.base!r} and cannot share a value in its lanes")
            plain = [value.device(piece)(value) for piece in slices]
            moved = [self._hand([piece], lane, owner)[0] if lane else piece for lane, piece in enumerate(plain)]
            parts = [device.share(piece) for device, piece in zip(self.devices, moved, strict=True)]
        if value.held:
            self.base.executor.run(parts[::-1])
        return Parts(self, parts)

    def map(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The same function in every lane, on its rows; its results stay in the lanes, as `Parts`.

        Arguments: Parts; secrets and plain values, which every lane gets whole; public data. Any structure (pytree).
        Reveals: nothing. Costs: those of the function in every lane, at the same time; handing secrets to the lanes costs
        nothing between parties, and is done once for each secret.
        Raises: InputError without Parts, or with those of other lanes; SecrecyError, CompileError as the device does.
        """
        results, tree = self._run(function, arguments)
        return jax.tree.unflatten(tree, [Parts(self, pieces) for pieces in zip(*results, strict=True)])

    def sum(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """The same function in every lane, on its rows, and the sum of its results as secrets of the base device.

        Arguments, Reveals, Raises: as `map`; InputError for results that are truth values.
        Costs: as `map`; the sums are part of the next program of the base device, without any message.
        Error: none beyond the function's: the sum is exact modulo 2^64.
        """
        results, tree = self._run(function, arguments)
        for piece in results[0]:
            _kind(piece)
        # Others first, for the reason that `_children` gives.
        others = [self._hand(list(pieces), 0) for pieces in results[1:]]
        return jax.tree.unflatten(tree, self.base(_total)(others, results[0]))

    def gather(self, parts: Parts) -> Secret:
        """The whole array on the base device, rows in order: the inverse of `share`.

        Reveals: nothing. Costs: nothing between parties. Raises: InputError for truth values.
        """
        self._own(parts)
        others = [self._hand([piece], 0)[0] for piece in parts.pieces[1:]]
        whole: Secret = self.base(_joined)(others, parts.pieces[0])
        return whole

    # --- parts --------------------------------------------------------------------------------------------------

    def _run(self, function: Callable[..., Any], arguments: Sequence[Any]) -> tuple[list[list[Secret]], Any]:
        """Every lane's results, and their structure."""
        leaves, tree = jax.tree.flatten(tuple(arguments), is_leaf=lambda leaf: isinstance(leaf, (Handle, Parts)))
        leaves = [self.base.share(leaf) if isinstance(leaf, PlainValue) else leaf for leaf in leaves]
        if not any(isinstance(leaf, Parts) for leaf in leaves):
            raise InputError("no argument is split over the lanes: every lane would compute the same. Use lanes.share")
        for leaf in leaves:
            self._own(leaf) if isinstance(leaf, Parts) else self._check(leaf)
        results = []
        shape: Any = None
        for lane, device in enumerate(self.devices):
            own = self._at(lane, leaves)
            outputs, shape = jax.tree.flatten(device.apply(function, jax.tree.unflatten(tree, own)))
            results.append(outputs)
        return results, shape

    def _at(self, lane: int, leaves: Sequence[Any]) -> list[Any]:
        """The arguments of one lane: its own pieces, and copies of what all lanes get whole."""
        whole = [leaf for leaf in leaves if isinstance(leaf, Secret)]
        copies = dict(zip(map(id, whole), self._copied(whole, lane), strict=True))
        return [leaf.pieces[lane] if isinstance(leaf, Parts) else copies.get(id(leaf), leaf) for leaf in leaves]

    def _copied(self, values: Sequence[Secret], lane: int) -> list[Secret]:
        if not lane:
            return [value if value.held else self._settled(value) for value in values]
        missing = {value.id: value for value in values if not _usable(self._copies.get((value.id, lane)))}
        for value, copy in zip(missing.values(), self._hand(list(missing.values()), lane), strict=True):
            self._copies[value.id, lane] = copy
            weakref.finalize(value, self._copies.pop, (value.id, lane), None).atexit = False
        return [self._copies[value.id, lane] for value in values]

    def _settled(self, value: Secret) -> Secret:
        """A pending secret under a number of its own, in lane 0.

        Calls on one device run as one program where they can. What computes the secret must be a program of its own: the
        other lanes wait for it, and would wait for lane 0's part of the work as well.
        """

        def steps() -> Steps:
            yield tell(self.base.names, "alias", {"source": value.id, "ids": [id for id, _ in task.outputs]})

        task = Task(self.base, "settle", [value], user_line(), steps)
        return Secret(self.base, value.shape, value.dtype, node=task)

    def _hand(self, values: Sequence[Any], lane: int, owner: str = "") -> list[Any]:
        """The values in another lane: shares at every party, or plain values of their owner."""
        if not values:
            return []
        source = values[0].device
        target: Any = self._plain[lane][owner] if owner else self.devices[lane]
        kinds = [value.dtype.str if owner else _kind(value) for value in values]

        def steps() -> Steps:
            there = [id for id, _ in task.outputs]
            sent = [[value.id, list(value.shape), kind] for value, kind in zip(values, kinds, strict=True)]
            taken = [[id, list(value.shape), kind] for id, value, kind in zip(there, values, kinds, strict=True)]
            fields: dict[str, dict[str, Any]] = {}
            for sender, receiver in zip(source.names, target.names, strict=True):
                ends = {"sender": sender, "receiver": receiver}
                fields[sender] = {**ends, "device": None if owner else source.number, "values": sent}
                fields[receiver] = {**ends, "device": None if owner else target.number, "values": taken}
            yield Request("hand", fields)

        task = Task(target, "hand over", values, user_line(), steps)
        kind = PlainValue if owner else Secret
        return [kind(target, value.shape, value.dtype, node=task, index=i) for i, value in enumerate(values)]

    def _names(self, device: MPC) -> list[tuple[str, str]]:
        return list(zip(self.base.names, device.names, strict=True))

    def _own(self, parts: Parts) -> None:
        if parts.lanes is not self:
            raise InputError(f"{parts!r} belongs to other lanes than {self!r}; share the value here")

    def _check(self, leaf: Any) -> None:
        if isinstance(leaf, Handle) and leaf.device is not self.base:
            raise InputError(f"{leaf!r} belongs to another device than {self.base!r}; bring it there with x.to(mpc)")


def _usable(copy: Secret | None) -> bool:
    return copy is not None and (copy.node is None or copy.node.failure is None)


def _kind(value: Secret) -> str:
    """How shares of a value are handed over. Raises InputError for those that do not add."""
    kind = KINDS.get(value.dtype.kind)
    if kind is None:
        raise InputError(f"{value!r} holds truth values, which are not handed between lanes. Convert it: x.astype(int)")
    return kind


def _total(others: Sequence[Sequence[Any]], own: Sequence[Any]) -> list[Any]:
    """Add what the lanes computed, result by result."""
    return [sum((lane[place] for lane in others), result) for place, result in enumerate(own)]


def _joined(others: Sequence[Any], own: Any) -> Any:
    """Lane 0's rows and then the others'."""
    import jax.numpy as jnp

    return jnp.concatenate([own, *others])


@cache
def _rows(begin: int, end: int) -> Callable[[Any], Any]:
    """A slice of rows, the same function each time, so that a device compiles it once."""

    def rows(array: Any) -> Any:
        return array[begin:end]

    return rows
