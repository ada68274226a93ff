"""Tacit: parties compute together on data that none of them shows."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tacit.compile.check import check as check
    from tacit.device.aggregate import aggregate as aggregate
    from tacit.device.estimate import cost as cost
    from tacit.device.masked import Masking as Masking
    from tacit.device.mpc import MPC as MPC
    from tacit.device.plain import Plain as Plain
    from tacit.device.plain import PlainValue as PlainValue
    from tacit.device.privacy import DiscreteGaussian as DiscreteGaussian
    from tacit.device.privacy import DiscreteLaplace as DiscreteLaplace
    from tacit.device.privacy import OwnerBudget as OwnerBudget
    from tacit.device.reveal import reveal as reveal
    from tacit.device.secret import Secret as Secret
    from tacit.primitive.mpc.protocol import Assisted as Assisted
    from tacit.primitive.mpc.protocol import Replicated as Replicated
    from tacit.schedule.offline import OfflineJob as OfflineJob
    from tacit.schedule.session import Session as Session

# Loaded on first use: a party's process imports `tacit` too, and must not wait for JAX.
_HOMES = {
    "MPC": "tacit.device.mpc",
    "Assisted": "tacit.primitive.mpc.protocol",
    "DiscreteGaussian": "tacit.device.privacy",
    "DiscreteLaplace": "tacit.device.privacy",
    "Masking": "tacit.device.masked",
    "OwnerBudget": "tacit.device.privacy",
    "Plain": "tacit.device.plain",
    "PlainValue": "tacit.device.plain",
    "Replicated": "tacit.primitive.mpc.protocol",
    "OfflineJob": "tacit.schedule.offline",
    "Secret": "tacit.device.secret",
    "Session": "tacit.schedule.session",
    "aggregate": "tacit.device.aggregate",
    "check": "tacit.compile.check",
    "cost": "tacit.device.estimate",
    "reveal": "tacit.device.reveal",
}
__all__ = [
    "MPC",
    "Assisted",
    "DiscreteGaussian",
    "DiscreteLaplace",
    "Masking",
    "OfflineJob",
    "OwnerBudget",
    "Plain",
    "PlainValue",
    "Replicated",
    "Secret",
    "Session",
    "aggregate",
    "check",
    "cost",
    "reveal",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tacit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
