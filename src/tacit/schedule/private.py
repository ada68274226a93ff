"""What parties do for differential privacy: their budgets, and the noise that they draw for themselves.

A budget lives in its owner's process and ledger. `privacy.reserve` promises a cost, in memory, `privacy.commit` writes the charge,
`privacy.cancel` takes the promise back: so several owners of one release are charged together or not at all.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tacit.foundation.errors import BudgetExhausted, DomainError, PolicyError, UnsupportedOperation
from tacit.foundation.ledger import verify
from tacit.primitive.dp import (
    Budget,
    ComposedEvent,
    DiscreteGaussianMechanism,
    DiscreteLaplaceMechanism,
    Event,
    ExponentialMechanism,
    GaussianMechanism,
    GaussianShares,
    LaplaceMechanism,
    LaplaceShares,
    Mechanism,
    RandomizedResponse,
    accountant,
    describe,
    event_from,
    secret_noise_event,
)
from tacit.primitive.dp.budget import OPENED
from tacit.primitive.he import CiphertextArray
from tacit.primitive.mpc.function.noise import DiscreteGaussian, DiscreteLaplace, sample
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Fixed, Integer, Value
from tacit.schedule.procedure import Facts, PartyView, procedure

BUDGET = "this ledger"
"""The name of a ledger's one budget: it outlives sessions that continue the ledger."""
STATE = "privacy"
MARGIN = 1e-9
"""How much of epsilon is kept back while several releases are on their way: their costs may be added in another order."""
MECHANISMS: Mapping[str, type[Any]] = {
    kind.name: kind
    for kind in (
        LaplaceMechanism,
        DiscreteLaplaceMechanism,
        GaussianMechanism,
        DiscreteGaussianMechanism,
        ExponentialMechanism,
        RandomizedResponse,
    )
}


@dataclass(frozen=True, slots=True)
class Promise:
    """A reserved cost, with what the ledger will say of it."""

    event: Event
    said: Mapping[str, Any]


@dataclass(slots=True)
class Purse:
    """A party's open budget and what is reserved of it."""

    budget: Budget
    promised: dict[int, Promise] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.Lock)

    def together(self, event: Event) -> float:
        """What would be spent after everything reserved and this."""
        events = [promise.event for promise in self.promised.values()]
        return self.budget.preview(ComposedEvent((*events, event)) if events else event)


def purse_of(view: PartyView) -> Purse:
    """The party's purse. Raises: PolicyError where it has none."""
    purse = view.state.get(STATE)
    if not isinstance(purse, Purse):
        raise PolicyError(f"{view.name} has opened no privacy budget")
    return purse


# --- budgets ----------------------------------------------------------------------------------------------------------


@procedure("privacy.open")
def open_budget(view: PartyView, epsilon: float, delta: float, by: str) -> tuple[Sequence[Any], Facts]:
    """Open this party's budget in its ledger, or find it there with all that was spent."""
    budget = Budget(view.ledger, BUDGET, epsilon=epsilon, delta=delta, by=by)
    view.state.setdefault(STATE, Purse(budget))
    return [], _terms(budget)


@procedure("privacy.standing")
def standing_budget(view: PartyView) -> tuple[Sequence[Any], Facts]:
    """The terms of the budget that the ledger holds from an earlier session, open again; nothing where there is none."""
    for record in verify(view.ledger.path):
        if record["kind"] == OPENED and record.get("session") == BUDGET and record["party"] == view.ledger.party:
            return open_budget(view, record["epsilon"], record["delta"], record["by"])
    return [], {}


@procedure("privacy.look")
def look(view: PartyView) -> tuple[Sequence[Any], Facts]:
    """What is spent, and on what."""
    budget = purse_of(view).budget
    charges = [{**vars(charge), "event": describe(charge.event)} for charge in budget.charges()]
    return [], {"spent": budget.spent(), "charges": charges}


@procedure("privacy.preview")
def preview(view: PartyView, terms: Mapping[str, Any]) -> tuple[Sequence[Any], Facts]:
    """What would be spent after a release on these terms."""
    return [], {"together": purse_of(view).budget.preview(event_of(terms))}


@procedure("privacy.reserve")
def reserve(
    view: PartyView, number: int, terms: Mapping[str, Any], what: str, because: str
) -> tuple[Sequence[Any], Facts]:
    """Promise the cost of a release. Raises: BudgetExhausted, and nothing is promised."""
    purse, event = purse_of(view), event_of(terms)
    with purse.lock:
        together, total = purse.together(event), purse.budget.epsilon
        if not together <= (total * (1 - MARGIN) if purse.promised else total):
            raise BudgetExhausted(
                owner=view.name,
                spent=purse.budget.spent(),
                asked=accountant(purse.budget.by).compose(event).epsilon(purse.budget.delta),
                together=together,
                total=total,
                delta=purse.budget.delta,
            )
        said = {"what": what, "because": because, "mechanism": named(terms), "sensitivity": stated(terms)}
        purse.promised[number] = Promise(event, said)
    return [], {}


@procedure("privacy.commit")
def commit(view: PartyView, number: int) -> tuple[Sequence[Any], Facts]:
    """Write a reserved charge. When this returns, it is on disk."""
    purse = purse_of(view)
    with purse.lock:
        promise = purse.promised.pop(number)
        purse.budget.charge(promise.event, **promise.said)
    return [], {}


@procedure("privacy.cancel")
def cancel(view: PartyView, number: int) -> tuple[Sequence[Any], Facts]:
    """Take a promise back; nothing happens where there is none."""
    purse = purse_of(view)
    with purse.lock:
        purse.promised.pop(number, None)
    return [], {}


@procedure("privacy.exact")
def exact(
    view: PartyView, what: str, shape: Sequence[Any], to: Sequence[str], because: str, line: str, release_exact: str
) -> tuple[Sequence[Any], Facts]:
    """Write down that a value of this party's data is shown without noise, and why."""
    view.ledger.append(
        "exact release", what=what, shape=shape, to=list(to), because=because, line=line, release_exact=release_exact
    )
    return [], {}


def _terms(budget: Budget) -> Facts:
    return {"epsilon": budget.epsilon, "delta": budget.delta, "by": budget.by}


# --- what noise costs -------------------------------------------------------------------------------------------------


def event_of(terms: Mapping[str, Any]) -> Event:
    """What noise on these terms costs. Raises: DomainError, ConfigError."""
    if "event" in terms:
        return event_from(terms["event"])
    if "mechanism" in terms:
        event: Event = _ready(terms).event
        return event
    laplace, size, sensitivity = terms["kind"] == "laplace", terms["size"], terms["sensitivity"]
    if terms["way"] == "secret":
        noise = DiscreteLaplace(terms["width"]) if laplace else DiscreteGaussian(terms["width"])
        return secret_noise_event(noise, sensitivity, size=size, parties=terms["parties"])
    if terms["way"] == "shares":
        return _shares(terms, sensitivity).event
    if terms["way"] != "alone":
        raise DomainError(f"noise is drawn secretly, by shares or alone, not {terms['way']!r}")
    alone: Event = _alone(terms, sensitivity).event
    return alone


def named(terms: Mapping[str, Any]) -> str:
    """What the ledger calls noise on these terms."""
    if "mechanism" in terms:
        return str(terms["mechanism"])
    way = {
        "secret": f"drawn in MPC from words of {terms['parties']} parties",
        "shares": f"by shares of {terms['parties']} parties, {terms['honest']} of them honest",
        "alone": "drawn by the party that holds the value",
    }[terms["way"]]
    grid = (
        "integers" if terms["bits"] is None else "reals" if terms["way"] == "alone" else f"the grid 2**-{terms['bits']}"
    )
    return f"discrete {terms['kind']} of width {terms['width']:g} on {grid}, {way}"


def stated(terms: Mapping[str, Any]) -> float:
    """The sensitivity of noise on these terms, in units of its grid."""
    return float(terms["parameters"].get("sensitivity", 1.0) if "mechanism" in terms else terms["sensitivity"])


def _ready(terms: Mapping[str, Any]) -> Mechanism[Any]:
    if terms["mechanism"] not in MECHANISMS:
        raise DomainError(f"no mechanism {terms['mechanism']!r} for a value; there are {', '.join(MECHANISMS)}")
    mechanism: Mechanism[Any] = MECHANISMS[terms["mechanism"]](**terms["parameters"])
    return mechanism


def _shares(terms: Mapping[str, Any], sensitivity: float) -> Any:
    """Honest shares; where one of the parties is enough, its share is the whole noise, and of any scale."""
    laplace, parties, honest, size = terms["kind"] == "laplace", terms["parties"], terms["honest"], terms["size"]
    if not laplace:
        return GaussianShares(terms["width"], sensitivity, parties, honest, size)
    if honest == 1:
        return DiscreteLaplaceMechanism(terms["width"], _whole(sensitivity))
    return LaplaceShares(terms["width"], _whole(sensitivity), parties, honest, size)


def _alone(terms: Mapping[str, Any], sensitivity: float) -> Any:
    width, size = terms["width"], terms["size"]
    if terms["kind"] == "laplace":
        if terms["bits"] is None:
            return DiscreteLaplaceMechanism(width, _whole(sensitivity))
        return LaplaceMechanism(width, sensitivity, size)
    if terms["bits"] is None:
        return DiscreteGaussianMechanism(width, sensitivity, size)
    return GaussianMechanism(width, sensitivity, size)


def _whole(sensitivity: float) -> int:
    if not float(sensitivity).is_integer():
        raise DomainError(f"the L1 sensitivity of integers is an integer, not {sensitivity}. Round it up.")
    return int(sensitivity)


# --- noise ------------------------------------------------------------------------------------------------------------


@procedure("privacy.release")
def release(view: PartyView, drawing: Mapping[str, Any]) -> tuple[Sequence[Any], Facts]:
    """Add noise to a plain value of this party, which its owners have been charged for."""
    mechanism = _ready(drawing) if "mechanism" in drawing else _alone(drawing, 1.0)
    return [np.asarray(mechanism.release(np.asarray(view.inputs[0])).value)], {}


@procedure("privacy.cipher")
def describe_cipher(view: PartyView, device: int) -> tuple[Sequence[Any], Facts]:
    """The public fraction bits of a ciphertext, on whose grid the noise must be. Raises: UnsupportedOperation for CKKS and BFV."""
    array = view.inputs[0]
    if not isinstance(array, CiphertextArray):
        raise UnsupportedOperation(
            "noise is added to ciphertexts of additive schemes only. Bring the value to an MPC device and reveal it there with noise."
        )
    return [], {"fraction_bits": array.fraction_bits, "device": device}


@procedure("privacy.cipher_noise")
def cipher_noise(view: PartyView, device: int, drawing: Mapping[str, Any]) -> tuple[Sequence[Any], Facts]:
    """Add this evaluator's share of the noise to a ciphertext; it is randomised before it leaves.

    The ciphertext's public bound grows by 64 widths, which noise exceeds with probability below 2**-90.
    """
    array: CiphertextArray = view.inputs[0]
    if (array.fraction_bits if array.dtype == np.float64 else None) != drawing["bits"] or array.size != drawing["size"]:
        raise DomainError(f"the noise for value of HE device {device} was made for another ciphertext")
    noise = noise_share(drawing, (array.size,))
    bound = array.checked(array.bound + 64 * int(np.ceil(drawing["width"])) + 64, "a value with noise")
    rows = array.key.add(array.rows(), array.key.trivial([int(value) for value in noise]))
    return [array.replaced(rows, bound=bound)], {}


def noise_share(drawing: Mapping[str, Any], shape: Sequence[int]) -> np.ndarray:
    """One party's share of noise, in units of the grid."""
    zeros = np.zeros(tuple(shape), np.int64)
    if not zeros.size:
        return zeros
    made = _shares({**drawing, "size": zeros.size}, 1.0)
    noise: np.ndarray = made.release(zeros).value if isinstance(made, DiscreteLaplaceMechanism) else made.share(zeros)
    return noise


async def add_noise(kernel: Kernel, value: Value, noise: Mapping[str, Any], me: str) -> Value:
    """A shared number with noise that no party knows; see `tacit.primitive.mpc.function.noise`.

    noise: kind and width in units of the value's grid, bits of that grid (None for integers), and whose words make it.
    Reveals: nothing. Costs: those of `sample`. Raises: DomainError for another grid.
    """
    if isinstance(value, np.ndarray):
        return value  # a result that no secret entered
    if not isinstance(value, (Fixed, Integer)):
        raise DomainError("noise is added to numbers; convert truth values with .astype(int) first")
    bits = value.bits if isinstance(value, Fixed) else None
    if bits != noise["bits"]:
        raise DomainError(f"the noise was made for {noise['bits']} fraction bits, and the value has {bits}")
    if not prod(value.shape):
        return value
    wanted = DiscreteLaplace(noise["width"]) if noise["kind"] == "laplace" else DiscreteGaussian(noise["width"])
    drawn = await sample(kernel, wanted, value.shape, noise["owners"], me, bits=bits)
    total = kernel.add(value.share, drawn.share)
    return Integer(total) if bits is None else Fixed(total, bits)
