"""Privacy budgets on devices: what must be paid before a value that depends on an owner's data is shown to somebody else.

The rule. Every handle knows its owners: the parties whose own data it was computed from. Once an owner has a budget, a value
of its data is shown to another party only with `privacy=`, noise that is drawn where the value is and charged to the budget
before anything is opened, or with `release_exact=`, a reason that the owner's ledger keeps as such. Everything else is refused.
What an owner sees of its own data is free. A value that was paid for no longer counts as its payers' data.

Charges of several owners are all made or none: each owner first reserves the cost in its own process, and only when all have,
each writes its charge. A crash between that and the opening has paid for nothing, never the reverse.

Threat model: this is bookkeeping among parties that keep to the plan, not protection from a session that evades it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, final

from tacit.device.executor import Executor, Request, Steps
from tacit.foundation.errors import ConfigError, InputError, PolicyError, TacitError
from tacit.primitive.dp import Charge, Mechanism, describe, event_from
from tacit.primitive.dp.require import not_negative, positive, whole

if TYPE_CHECKING:
    from tacit.device.handle import Handle

Sensitivity: TypeAlias = float | Mapping[str, float]
Way: TypeAlias = Literal["secret", "shares", "alone"]
"""Who draws: nobody alone (inside MPC), several parties each a share, or the party that holds the value."""


# --- noise ------------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class DiscreteLaplace:
    """Noise with P(z) proportional to exp(-|z| / scale) on the grid of the numbers that are shown.

    scale, sensitivity: in the units of the values. sensitivity: how far one record of an owner moves all numbers of the release
    together, in the L1 norm; one number, or one for each owner. error: how far each number that is computed may lie from
    the true one; by default one unit of the grid for reals (a truncation), and nothing for integers. honest: where parties make
    the noise of shares, how many of them at least add theirs and tell nobody; None is 1 on an HE device, and in a masked
    aggregation all that may be counted on.
    """

    scale: float
    sensitivity: Sensitivity
    error: float | None = None
    honest: int | None = None

    def __post_init__(self) -> None:
        positive("scale", self.scale)
        _check(self)


@final
@dataclass(frozen=True)
class DiscreteGaussian:
    """Noise with P(z) proportional to exp(-z**2 / (2 deviation**2)) on the grid of the numbers that are shown.

    As `DiscreteLaplace`, with a deviation instead of a scale, and sensitivities in the L2 norm.
    """

    deviation: float
    sensitivity: Sensitivity
    error: float | None = None
    honest: int | None = None

    def __post_init__(self) -> None:
        positive("deviation", self.deviation)
        _check(self)


Noise: TypeAlias = DiscreteLaplace | DiscreteGaussian
Privacy: TypeAlias = DiscreteLaplace | DiscreteGaussian | Mechanism[Any]


def _check(noise: Noise) -> None:
    given = noise.sensitivity
    for value in given.values() if isinstance(given, Mapping) else [given]:
        positive("sensitivity", value)
    if noise.error is not None:
        not_negative("error", noise.error)
    if noise.honest is not None:
        whole("honest", noise.honest)


@final
@dataclass(frozen=True)
class Drawn:
    """Noise as it will be drawn: in units of the grid 2**-bits, on so many numbers, and by whom."""

    noise: Noise
    way: Way
    bits: int
    size: int
    parties: int = 1
    honest: int = 1
    real: bool = True
    default_error: float = 1.0
    """In units of the grid, where the noise states no error and the numbers are real."""

    @property
    def kind(self) -> str:
        """Which noise."""
        return "laplace" if isinstance(self.noise, DiscreteLaplace) else "gaussian"

    @property
    def width(self) -> float:
        """Scale or deviation in units of the grid."""
        stated = self.noise.scale if isinstance(self.noise, DiscreteLaplace) else self.noise.deviation
        return float(stated) * 2.0**self.bits

    def sensitivity(self, owner: str) -> float:
        """How far one record of the owner moves the numbers that are computed, in units of the grid. Raises: ConfigError."""
        stated = self.noise.sensitivity
        if isinstance(stated, Mapping):
            if owner not in stated:
                raise ConfigError(
                    f"the value depends on data of {owner}, for whom no sensitivity is stated: sensitivity={{'{owner}': ...}}"
                )
            stated = stated[owner]
        unit = 2.0**self.bits
        error = self.default_error if self.noise.error is None else self.noise.error * unit
        error = error if self.real or self.noise.error is not None else 0.0
        if self.kind == "laplace":
            return float(ceil(stated * unit + 2 * error * self.size))
        return float(stated) * unit + 2 * error * sqrt(self.size)

    def drawing(self) -> dict[str, Any]:
        """What whoever draws must know."""
        return {
            "kind": self.kind,
            "width": self.width,
            "size": self.size,
            "parties": self.parties,
            "honest": self.honest,
            "bits": self.bits if self.real else None,
        }

    def terms(self, owner: str) -> dict[str, Any]:
        """What an owner must know to price it: see `tacit.schedule.private`."""
        return {**self.drawing(), "way": self.way, "sensitivity": self.sensitivity(owner)}


@final
@dataclass(frozen=True)
class Ready:
    """A mechanism of `tacit.primitive.dp`, to be applied by the party that holds the value."""

    mechanism: Mechanism[Any]

    def drawing(self) -> dict[str, Any]:
        """The mechanism by its name and numbers."""
        if not is_dataclass(self.mechanism):
            raise InputError(f"a {type(self.mechanism).__name__} is no mechanism that another process can be told of")
        parameters = {field.name: getattr(self.mechanism, field.name) for field in fields(self.mechanism)}
        return {"mechanism": self.mechanism.name, "parameters": parameters}

    def terms(self, owner: str) -> dict[str, Any]:  # noqa: ARG002  one sensitivity for all
        """What an owner must know to price it."""
        return self.drawing()


Draw: TypeAlias = Drawn | Ready


def noise_of(privacy: Any, where: str) -> Noise:
    """The noise that a device other than a party's own can draw. Raises: InputError."""
    if isinstance(privacy, (DiscreteLaplace, DiscreteGaussian)):
        return privacy
    raise InputError(
        f"{where} adds tacit.DiscreteLaplace or tacit.DiscreteGaussian noise, not a {type(privacy).__name__}"
    )


# --- the rule ---------------------------------------------------------------------------------------------------------


@final
class Gate:
    """What stands before values are shown to parties. `check` where that is asked for, `pay` just before it happens."""

    def __init__(
        self,
        values: Sequence[Handle],
        to: Sequence[str],
        *,
        because: str,
        line: str,
        privacy: Any = None,
        release_exact: str = "",
        owners: Iterable[str] = (),
        executor: Executor | None = None,
    ) -> None:
        self.values = tuple(values)
        self.owners = frozenset(owners).union(*(value.owners for value in self.values))
        self._executor = executor
        self.to = tuple(to)
        self.because = because
        self.line = line
        self.privacy = privacy
        self.release_exact = release_exact
        if not isinstance(release_exact, str):
            raise InputError("release_exact says in words why a value is shown without noise")
        if privacy is not None and release_exact:
            raise InputError("either privacy=, with noise, or release_exact=, without: not both")

    @property
    def executor(self) -> Executor:
        """The session."""
        executor: Executor = self._executor or self.values[0].device.executor
        return executor

    def concerned(self) -> tuple[str, ...]:
        """Owners with a budget whose data somebody else is about to see."""
        guarded = sorted(owner for owner in self.owners if owner in self.executor.budgets)
        return tuple(owner for owner in guarded if any(party != owner for party in self.to))

    def check(self) -> Gate:
        """Refuse what nobody pays for. Raises: PolicyError."""
        owners = self.concerned()
        if owners and self.privacy is None and not self.release_exact.strip():
            raise PolicyError(
                f"{' and '.join(owners)} {'has' if len(owners) == 1 else 'have'} a privacy budget, and "
                f"{self.values[0] if self.values else self.because!r} depends on that data: {' and '.join(self.to)} may see it with noise only. Say privacy=tacit.DiscreteLaplace(scale=..., "
                "sensitivity=...), or release_exact='...' with a reason that goes into the ledger."
            )
        return self

    def left(self) -> frozenset[str]:
        """Whose data the values still are, once they were shown: not those of the owners that were paid."""
        return self.owners - frozenset(self.concerned()) if self.privacy is not None else self.owners

    def pay(self, draw: Draw | None) -> Steps:
        """Charge every owner concerned, or none. Raises: PolicyError, BudgetExhausted, ConfigError, LedgerError."""
        owners = self.check().concerned()
        shape = [list(value.shape) for value in self.values]
        what = ", ".join(f"{value.dtype.name}{list(value.shape)} of {value.device!r}" for value in self.values)
        if self.privacy is None:
            facts = {"what": what, "shape": shape, "to": list(self.to), "because": self.because, "line": self.line}
            for owner in owners:
                yield at(owner, "privacy.exact", {**facts, "release_exact": self.release_exact})
            return
        assert draw is not None
        said = {"what": f"{what} to {', '.join(self.to)}", "because": self.because}
        yield from charge_steps(self.executor, {owner: {"terms": draw.terms(owner), **said} for owner in owners})


def charge_steps(executor: Executor, charges: Mapping[str, Mapping[str, Any]]) -> Steps:
    """Reserve at every owner, then charge all; where one refuses, none is charged."""
    number, reserved = executor.new_id(), []
    try:
        for owner, charge in charges.items():
            reserved.append(owner)
            yield at(owner, "privacy.reserve", {"number": number, **charge})
    except TacitError:
        for owner in reserved:
            yield at(owner, "privacy.cancel", {"number": number})
        raise
    if charges:
        commit = at("", "privacy.commit", {"number": number}).fields[""]
        yield Request("procedure", dict.fromkeys(charges, commit))


def at(
    party: str, name: str, params: Mapping[str, Any], inputs: Sequence[int] = (), outputs: Sequence[int] = ()
) -> Request:
    """A procedure at one party alone."""
    fields = {"name": name, "inputs": list(inputs), "outputs": list(outputs), "params": dict(params)}
    return Request("procedure", {party: fields})


# --- budgets ----------------------------------------------------------------------------------------------------------


@final
class OwnerBudget:
    """The session's view of an owner's budget; the budget itself is in the owner's process and ledger."""

    def __init__(self, executor: Executor, owner: str, *, epsilon: float, delta: float, by: str) -> None:
        self._executor = executor
        self.owner = owner
        self.epsilon = epsilon
        self.delta = delta
        self.by = by

    def spent(self) -> float:
        """Epsilon spent, at the budget's delta. Raises: LedgerError."""
        return float(self._ask("privacy.look", {})["spent"])

    def remaining(self) -> float:
        """The total less what is spent; composition is not a sum, so see `preview` for what an event would cost."""
        return max(0.0, self.epsilon - self.spent())

    def preview(self, mechanism: Any, of: Handle | None = None) -> float:
        """What would be spent after a release; nothing is charged.

        mechanism: a mechanism of `tacit.primitive.dp`, or `tacit.DiscreteLaplace` or `DiscreteGaussian` on the value `of`.
        """
        return float(self._ask("privacy.preview", {"terms": self._terms(mechanism, of)})["together"])

    def charges(self) -> tuple[Charge, ...]:
        """All charges so far, in order."""
        kept = self._ask("privacy.look", {})["charges"]
        return tuple(Charge(**{**charge, "event": event_from(charge["event"])}) for charge in kept)

    def _terms(self, mechanism: Any, of: Handle | None) -> Mapping[str, Any]:
        if not isinstance(mechanism, (DiscreteLaplace, DiscreteGaussian)):
            return {"event": describe(getattr(mechanism, "event", mechanism))}
        if of is None:
            raise InputError(
                "what this noise costs depends on the numbers it is added to: preview(mechanism, of=value)"
            )
        from tacit.device.transfer import DRAWS

        return self._executor.perform(DRAWS[type(of.device)](of, mechanism)).terms(self.owner)

    def _ask(self, name: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        answers = self._executor.call(at(self.owner, name, params))
        facts: Mapping[str, Any] = answers[self.owner][0]["facts"]
        return facts

    def __repr__(self) -> str:
        return f"OwnerBudget({self.owner}: epsilon {self.epsilon:g} at delta {self.delta:g} by {self.by})"


Drawer: TypeAlias = Callable[[Any, Any], Any]
"""From a value and the noise on it to a generator of requests that returns a `Drawn`."""
