"""The only way out of secrecy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax

from tacit.device.caller import user_line
from tacit.device.privacy import Gate, Noise
from tacit.device.secret import Secret
from tacit.device.transfer import noise_fields, secret_draw
from tacit.foundation.errors import ConfigError, InputError


def reveal(
    value: Any, to: str | Sequence[str], because: str, *, privacy: Noise | None = None, release_exact: str = ""
) -> Any:
    """Open secrets to the parties named, and have every party write it into its ledger.

    Takes a `Secret` or any structure of them; returns NumPy arrays (float64, int64, bool) in the same structure: what the
    receiving party now knows. Parts that are not secret pass through.

    privacy: noise that no party knows, drawn inside the protocol and added before anything is opened; every owner of the data
    behind the values whose budget is open is charged first. release_exact: why values that such a budget guards are shown
    without noise; their ledgers keep it as that.

    Reveals: the values, to `to`. Costs: 1 round, 8 bytes per element (1 bit for truth values) to each receiver; and the noise.
    Raises: ConfigError for a party that is not part of the device; InputError for an empty reason; PolicyError for guarded
        values without noise; BudgetExhausted, and then nobody is charged and nothing is opened.
    """
    receivers = [to] if isinstance(to, str) else list(dict.fromkeys(to))
    if not isinstance(because, str) or not because.strip():
        raise InputError("a reveal needs a reason: because='...' says in the ledger why the value may be seen")
    if not receivers:
        raise InputError("a reveal needs at least one receiver in `to`")
    leaves, tree = jax.tree.flatten(value, is_leaf=lambda leaf: isinstance(leaf, Secret))
    secrets = [leaf for leaf in leaves if isinstance(leaf, Secret)]
    if not secrets:
        return value
    device = secrets[0].device
    for secret in secrets:
        if secret.device is not device:
            raise InputError("secrets of different devices cannot be revealed in one call")
    unknown = [party for party in receivers if party not in device.names]
    if unknown:
        raise ConfigError(
            f"cannot reveal to {', '.join(unknown)}: the parties of {device!r} are {', '.join(device.names)}"
        )
    options: dict[str, Any] = {
        "because": because,
        "line": user_line(),
        "privacy": privacy,
        "release_exact": release_exact,
    }
    gate = Gate(secrets, receivers, **options).check()
    draw = secret_draw(secrets, privacy) if privacy is not None else None
    device.run(secrets)
    device.executor.perform(gate.pay(draw))
    fields = {
        "device": device.number,
        "ids": [secret.id for secret in secrets],
        "to": receivers,
        "because": because,
        "line": gate.line,
        **noise_fields(draw, device),
    }
    answers = device.executor.ask(device.names, "reveal", fields)
    opened = iter(answers[receivers[0]][1])
    return jax.tree.unflatten(tree, [next(opened) if isinstance(leaf, Secret) else leaf for leaf in leaves])
