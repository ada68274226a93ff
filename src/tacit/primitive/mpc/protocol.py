"""Protocols as values: what a session runs, and what a lawyer would ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, final

from tacit.foundation.errors import ConfigError


@final
@dataclass(frozen=True, slots=True)
class Assisted:
    """Two parties compute, a helper deals correlated randomness. See `docs/protocols/assisted.md`."""

    fraction_bits: int = 18
    exact: bool = False

    def __post_init__(self) -> None:
        _check(self.fraction_bits)

    def __str__(self) -> str:
        rounding = "exact floor" if self.exact else "stochastic, 0 or +1 unit in the last place"
        return (
            "Assisted: three parties, of which two compute on additive shares and one deals correlated randomness.\n"
            "Security: semi-honest, at most one party corrupted. The helper must not collude with a compute party;\n"
            "  it learns programs and shapes, and no value. No protection against a party that deviates.\n"
            "Randomness: AES-128-CTR under pairwise keys from both sides' operating systems.\n"
            f"Numbers: fixed point in the ring modulo 2**64, {self.fraction_bits} fraction bits; truncation {rounding}."
        )


@final
@dataclass(frozen=True, slots=True)
class Replicated:
    """Three parties compute on replicated shares (ABY3). See `docs/protocols/replicated.md`."""

    fraction_bits: int = 18
    exact: bool = False

    def __post_init__(self) -> None:
        _check(self.fraction_bits)

    def __str__(self) -> str:
        rounding = "exact floor" if self.exact else "0 or +1 unit in the last place"
        return (
            "Replicated: three parties compute on replicated shares; each pair holds what the third lacks.\n"
            "Security: semi-honest, at most one party corrupted. No protection against a party that deviates.\n"
            "Randomness: AES-128-CTR under pairwise keys from both sides' operating systems; a zero share in every product.\n"
            f"Numbers: fixed point in the ring modulo 2**64, {self.fraction_bits} fraction bits; truncation {rounding}."
        )


Protocol: TypeAlias = Assisted | Replicated
PROTOCOLS: dict[str, type[Assisted | Replicated]] = {"assisted": Assisted, "replicated": Replicated}


def protocol_name(protocol: Protocol) -> str:
    """The wire name of a protocol."""
    return type(protocol).__name__.lower()


def _check(fraction_bits: int) -> None:
    if not 4 <= fraction_bits <= 30:
        raise ConfigError(
            f"fraction_bits must lie between 4 and 30, not {fraction_bits}: a product of two numbers must stay below 2**62"
        )
