"""What is asked of an intersection: agreed by all sides before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tacit.foundation.errors import ConfigError
from tacit.primitive.psi.token import STATISTICAL_BITS

HOW = ("inner", "left", "right", "full", "anti")
REVEAL = ("left", "right", "both")
NULLS = ("refuse", "exclude")
PROTOCOLS = ("ecdh",)
SIDES = ("left", "right")
MEMORY_BYTES = 1 << 28
LEAST_MEMORY = 1 << 22


@final
@dataclass(frozen=True, slots=True)
class Options:
    """The terms of a join of a left and a right table.

    how: the rows of the result, as SQL's joins have them, duplicates included; "anti" is the left rows without a partner.
    reveal_to: who gets the result. One side alone gets rows of its own table, each once: how often its partner's
    table has a key stays hidden, so only joins that keep no row of the other side can be asked for.
    nulls: of this side alone; see `keys.identifiers`. memory: bytes that sorting may take, of this side alone.
    statistical_bits: a result is wrong with probability at most 2 to minus this.
    """

    how: str = "inner"
    reveal_to: str = "both"
    cardinality_only: bool = False
    nulls: str = "refuse"
    protocol: str = "ecdh"
    statistical_bits: int = STATISTICAL_BITS
    memory: int = MEMORY_BYTES

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("how", self.how, HOW),
            ("reveal_to", self.reveal_to, REVEAL),
            ("nulls", self.nulls, NULLS),
            ("protocol", self.protocol, PROTOCOLS),
        ):
            if value not in allowed:
                raise ConfigError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")
        if self.memory < LEAST_MEMORY:
            raise ConfigError(f"memory={self.memory} bytes is too little to sort in: give {LEAST_MEMORY} or more")
        if not 20 <= self.statistical_bits <= 64:
            raise ConfigError(f"statistical_bits={self.statistical_bits} must lie between 20 and 64")
        if self.cardinality_only and self.how != "inner":
            raise ConfigError(f'cardinality_only counts the keys in common: how must be "inner", not {self.how!r}')
        alone = {"left": ("inner", "left", "anti"), "right": ("inner", "right")}.get(self.reveal_to, HOW)
        if self.how not in alone:
            raise ConfigError(
                f"how={self.how!r} has rows of the other side, which reveal_to={self.reveal_to!r} does not show. "
                f'Use one of {", ".join(alone)}, or reveal_to="both".'
            )
        if self.how == "anti" and self.reveal_to == "both":
            raise ConfigError('how="anti" has rows of the left table only. Use reveal_to="left".')

    def reveals(self, side: str) -> bool:
        """Whether a side gets the result."""
        return self.reveal_to in {side, "both"}

    @property
    def receiver(self) -> str:
        """The side that compares tokens."""
        return "right" if self.reveal_to == "right" else "left"
