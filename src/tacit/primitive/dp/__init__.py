"""Differential privacy: mechanisms, accountants, budgets.

Read in this order: `mechanism.py` (what a mechanism is), `laplace.py`, `gaussian.py`, `select.py`, `response.py`,
`sparse.py`, `tree.py`, `sgd.py` (the mechanisms), `distributed.py` (noise by several parties), `event.py` (what a release
costs, as data), `account.py` and `calibrate.py` (adding costs up, and back), `budget.py` (the owner's limit, in the ledger).

OpenDP draws the noise and dp-accounting adds it up, both from the extra `dp`; they are imported when first needed.
"""

from __future__ import annotations

from tacit.primitive.dp.account import Accountant, Gdp, Pld, Rdp, accountant
from tacit.primitive.dp.budget import Budget, Charge
from tacit.primitive.dp.calibrate import calibrate
from tacit.primitive.dp.distributed import GaussianShares, LaplaceShares, secret_noise_event
from tacit.primitive.dp.event import (
    ComposedEvent,
    ConcentratedEvent,
    DiscreteGaussianEvent,
    DiscreteLaplaceEvent,
    Event,
    GaussianEvent,
    LaplaceEvent,
    PoissonSampledEvent,
    PureEvent,
    RepeatedEvent,
    describe,
    event_from,
)
from tacit.primitive.dp.gaussian import DiscreteGaussianMechanism, GaussianMechanism
from tacit.primitive.dp.laplace import DiscreteLaplaceMechanism, LaplaceMechanism
from tacit.primitive.dp.mechanism import Mechanism, Release
from tacit.primitive.dp.response import RandomizedResponse
from tacit.primitive.dp.select import ExponentialMechanism
from tacit.primitive.dp.sgd import PrivateGradient
from tacit.primitive.dp.sparse import AboveThreshold
from tacit.primitive.dp.tree import TreeAggregation

__all__ = [
    "AboveThreshold",
    "Accountant",
    "Budget",
    "Charge",
    "ComposedEvent",
    "ConcentratedEvent",
    "DiscreteGaussianEvent",
    "DiscreteGaussianMechanism",
    "DiscreteLaplaceEvent",
    "DiscreteLaplaceMechanism",
    "Event",
    "ExponentialMechanism",
    "GaussianEvent",
    "GaussianMechanism",
    "GaussianShares",
    "Gdp",
    "LaplaceEvent",
    "LaplaceMechanism",
    "LaplaceShares",
    "Mechanism",
    "Pld",
    "PoissonSampledEvent",
    "PrivateGradient",
    "PureEvent",
    "RandomizedResponse",
    "Rdp",
    "Release",
    "RepeatedEvent",
    "TreeAggregation",
    "accountant",
    "calibrate",
    "describe",
    "event_from",
    "secret_noise_event",
]
