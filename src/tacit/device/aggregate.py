"""Sums and weighted means of the parties' pytrees, in one of three ways.

| mode | who learns what | who must be trusted |
|---|---|---|
| "plain" | `to` sees every party's values | `to` |
| "mpc" | nobody anything; `to`, if there is one, the result | that of the MPC device's protocol |
| "masked" | `server` the result, and who took part; drop-outs are borne up to a threshold | see `tacit.primitive.secagg` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, TypeAlias, final

import jax
import numpy as np

from tacit.device.caller import user_line
from tacit.device.executor import Executor, Steps
from tacit.device.handle import Handle, Task
from tacit.device.masked import Masking, masked
from tacit.device.mpc import MPC
from tacit.device.plain import PlainValue
from tacit.device.privacy import Noise, at
from tacit.device.secret import Secret
from tacit.device.tee import move_request
from tacit.device.transfer import unite_steps
from tacit.foundation.errors import ConfigError, InputError, ShapeError

Mode: TypeAlias = Literal["plain", "mpc", "masked"]


def aggregate(
    values: Mapping[str, Any],
    mode: Mode,
    *,
    weights: Mapping[str, Any] | None = None,
    to: str | None = None,
    because: str = "",
    device: MPC | None = None,
    server: str | None = None,
    privacy: Noise | None = None,
    release_exact: str = "",
    masking: Masking | None = None,
) -> Any:
    """The sum of the parties' trees, or with weights their weighted mean, as a tree of the same structure.

    values: by party, a tree of its plain values, the same structure and shapes at all. weights: by party, a public number, or a plain
    value of the party's own (without privacy). mode "plain": at `to`, who sees everything. "mpc": a `Secret` on `device`, or
    at `to` if it is given; parties that take no part in the device give two of its parties random-looking parts.
    "masked": at `server`, which sees the sum only; drop-outs are left out of sum and mean. masking: bounds, and how many may drop
    out. privacy: noise on the result as a whole, with the sensitivity of the result: in "plain" every party adds all of it to
    its own (so that the result has as many times its variance), in "mpc" nobody knows it, in "masked" clients add shares.
    It is charged to the budget of every owner concerned before anything is shown.

    Reveals: by mode, see above; in the ledgers of all who take part. Costs: "plain": each tree to `to`; "mpc": 8 bytes per number;
        "masked": five rounds, see docs/protocols/secure-aggregation.md.
    Error: against the exact result, for n parties: "plain" that of float64; "mpc" n half units of the device's last place, and with
        secret weights that of a secure division; "masked" n half units of 2**-fraction_bits for sums, half a unit for means.
        Integers are exact.
    Raises: ShapeError for trees that differ; ConfigError, InputError; PolicyError and BudgetExhausted; ClipExceeded;
        TooFewClients when the result is needed; after each of these the session goes on.
    """
    trees = _Trees.of(values, weights)
    if mode == "plain":
        return trees.back(_plain(trees, _needed(to, "to", mode), because, privacy, release_exact))
    if mode == "mpc":
        if device is None:
            raise ConfigError("aggregate(mode='mpc') needs device=, an MPC device")
        sums = _mpc(trees, device)
        return trees.back(sums if to is None else _opened(sums, trees, to, because, privacy, release_exact))
    if mode == "masked":
        server = _needed(server or to, "server", mode)
        if to not in (None, server):
            raise ConfigError(f"the server of a masked aggregation has its result: to={to!r} would be another party")
        options: dict[str, Any] = {"because": because, "privacy": privacy, "release_exact": release_exact}
        return trees.back(
            masked(trees.executor, trees.leaves, trees.weights, server, masking=masking or Masking(), **options)
        )
    raise ConfigError(f"modes are 'plain', 'mpc' and 'masked'; there is no {mode!r}")


@final
@dataclass(frozen=True)
class _Trees:
    """The parties' leaves in one order, the structure they have, and the weights: all public numbers, all plain, or None."""

    leaves: dict[str, list[PlainValue]]
    structure: Any
    weights: dict[str, Any] | None

    @classmethod
    def of(cls, values: Mapping[str, Any], weights: Mapping[str, Any] | None) -> _Trees:
        """Check that all fit together. Raises: ShapeError, InputError."""
        if len(values) < 2:
            raise InputError(f"an aggregation is of two parties or more, not of {len(values)}")
        flat = {name: jax.tree.flatten(tree, is_leaf=lambda x: isinstance(x, Handle)) for name, tree in values.items()}
        first, (found, structure) = next(iter(flat.items()))
        if not found:
            raise InputError("there are no values to be aggregated")
        for name, (leaves, form) in flat.items():
            for leaf in leaves:
                if not isinstance(leaf, PlainValue) or leaf.device.party != name:
                    raise InputError(f"{leaf!r} is no plain value of {name}; bring it there first")
            mine = [(leaf.shape, leaf.dtype.kind == "f") for leaf in leaves]
            if form != structure or mine != [(leaf.shape, leaf.dtype.kind == "f") for leaf in found]:
                raise ShapeError(f"{name}'s tree is not of the structure, shapes and kinds of {first}'s")
        return cls({name: leaves for name, (leaves, _) in flat.items()}, structure, _weights(values, weights))

    @property
    def names(self) -> list[str]:
        """The parties."""
        return list(self.leaves)

    @property
    def executor(self) -> Executor:
        """The session."""
        return next(iter(self.leaves.values()))[0].device.executor

    @property
    def public(self) -> dict[str, float] | None:
        """Each party's part of the mean, where weights are public."""
        if self.weights is None or any(isinstance(w, Handle) for w in self.weights.values()):
            return None
        total = sum(self.weights.values())
        return {name: weight / total for name, weight in self.weights.items()}

    def scaled(self) -> dict[str, list[PlainValue]]:
        """The leaves whose sum is the result, or, with secret weights, its numerator; the weights come last then."""
        if self.weights is None:
            return self.leaves
        scaled = {}
        for name, leaves in self.leaves.items():
            weight, plain = self.weights[name], leaves[0].device
            if self.public is not None:
                scaled[name] = [plain(_times)(leaf, self.public[name]) for leaf in leaves]
            else:
                scaled[name] = [*(plain(_times)(leaf, weight) for leaf in leaves), plain(_times)(weight, 1.0)]
        return scaled

    def back(self, leaves: Sequence[Any]) -> Any:
        """Leaves as a tree."""
        return jax.tree.unflatten(self.structure, leaves)


def _weights(values: Mapping[str, Any], weights: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if weights is None:
        return None
    if set(weights) != set(values):
        raise InputError(f"weights are of {sorted(weights)}, values of {sorted(values)}: each party has one")
    plain = [isinstance(weight, PlainValue) for weight in weights.values()]
    if any(plain) and not all(plain):
        raise InputError("either all weights are public numbers, or each is a plain value of its party")
    for name, weight in weights.items():
        if isinstance(weight, PlainValue) and (weight.device.party != name or weight.size != 1):
            raise InputError(f"the weight {weight!r} is not one number of {name}'s own")
        if not isinstance(weight, PlainValue) and not (isfinite(float(weight)) and float(weight) >= 0):
            raise InputError(f"a weight is finite and not negative, unlike that of {name}")
    if all(plain):
        return dict(weights)
    if not sum(map(float, weights.values())) > 0:
        raise InputError("all weights are zero, so that there is no mean")
    return {name: float(weight) for name, weight in weights.items()}


def _needed(name: str | None, what: str, mode: str) -> str:
    if name is None:
        raise ConfigError(f"aggregate(mode={mode!r}) needs {what}=, the party that gets the result")
    return name


# --- shown to one party -----------------------------------------------------------------------------------------------


def _plain(trees: _Trees, to: str, because: str, privacy: Noise | None, release_exact: str) -> list[PlainValue]:
    plain = trees.executor.plain(to)
    options: dict[str, Any] = {"because": because, "privacy": privacy, "release_exact": release_exact}
    if privacy is not None:
        _one_kind(trees)
        if trees.weights is not None and trees.public is None:
            raise ConfigError("with privacy, weights are public numbers: the noise is on the mean")
    scaled = trees.scaled()
    moved: list[list[PlainValue]] = []
    for leaves in scaled.values():
        home = leaves[0].device
        if home.party == to:
            moved.append(leaves)
        elif privacy is None:
            moved.append([leaf.to(plain, **options) for leaf in leaves])
        else:
            moved.append(plain(_split)(home(_join)(leaves).to(plain, **options), _shapes(leaves)))
    results: list[PlainValue] = plain(_sums)(moved)
    return _divided(results, plain) if trees.weights is not None and trees.public is None else results


# --- shared -----------------------------------------------------------------------------------------------------------


def _mpc(trees: _Trees, device: MPC) -> list[Secret]:
    shared = [[_shared(leaf, device) for leaf in leaves] for leaves in trees.scaled().values()]
    results: list[Secret] = device(_sums)(shared)
    return _divided(results, device) if trees.weights is not None and trees.public is None else results


def _opened(
    sums: Sequence[Secret], trees: _Trees, to: str, because: str, privacy: Noise | None, release_exact: str
) -> list[PlainValue]:
    plain = trees.executor.plain(to)
    if privacy is None:
        return [leaf.to(plain, because=because, release_exact=release_exact) for leaf in sums]
    if len({leaf.dtype.kind for leaf in sums}) > 1:
        raise InputError("noise is added to reals or to integers: aggregate them apart")
    joined = sums[0].device(_join)(list(sums))
    return list(plain(_split)(joined.to(plain, because=because, privacy=privacy), _shapes(sums)))


def _shared(value: PlainValue, device: MPC) -> Secret:
    """A value of a party that need not take part in the device: two of the device's parties unite its random-looking parts.

    Reveals: nothing, while the two do not collude. Costs: 16 bytes per element to the two, and those of uniting.
    """
    owner, executor = value.device.party, device.executor
    if owner in device.names:
        return device.share(value)
    whole, bits = value.dtype.kind != "f", device.protocol.fraction_bits

    def steps() -> Steps:
        made = [executor.new_id() for _ in range(2)]
        described = [list(value.shape), np.dtype(np.uint64).str]
        yield at(owner, "aggregate.part", {"bits": bits}, [value.id], made)
        for party, id in zip(device.names, made, strict=False):
            yield move_request(owner, party, id, described)
        parts = dict(zip(device.names, made, strict=False))
        yield from unite_steps(secret, parts, "int" if whole else "fixed", bits)

    task = Task(device, "share from outside", [value], user_line(), steps)
    secret = Secret(device, value.shape, np.int32 if whole else np.float32, node=task)
    return secret


# --- small functions that run on devices ------------------------------------------------------------------------------


def _divided(results: Sequence[Any], device: Any) -> list[Any]:
    *sums, total = results
    return [device(_over)(leaf, total) for leaf in sums]


def _one_kind(trees: _Trees) -> None:
    if len({leaf.dtype.kind == "f" for leaf in next(iter(trees.leaves.values()))}) > 1:
        raise InputError("noise is added to reals or to integers: aggregate them apart")


def _shapes(leaves: Sequence[Handle]) -> str:
    """Shapes as a text, which is part of a function and no argument of it."""
    return ";".join(",".join(map(str, leaf.shape)) for leaf in leaves)


def _times(value: Any, factor: Any) -> Any:
    return value * factor


def _over(value: Any, total: Any) -> Any:
    return value / total


def _sums(parts: Sequence[Sequence[Any]]) -> list[Any]:
    return [sum(leaves[1:], start=leaves[0]) for leaves in zip(*parts, strict=True)]


def _join(leaves: Sequence[Any]) -> Any:
    import jax.numpy as jnp

    return jnp.concatenate([leaf.reshape(-1) for leaf in leaves])


def _split(joined: Any, shapes: str) -> list[Any]:
    result, begin = [], 0
    for shape in shapes.split(";"):
        extents = tuple(int(extent) for extent in shape.split(",") if extent)
        size = int(np.prod(extents, dtype=np.int64))
        result.append(joined[begin : begin + size].reshape(extents))
        begin += size
    return result
