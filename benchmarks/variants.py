"""What is measured: a system, one of its protocols, with or without TLS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One column of the comparison."""

    system: str
    protocol: str
    tls: bool = False

    @property
    def offline(self) -> bool:
        """Whether the correlations of each run are dealt beforehand, apart from the time of the run."""
        return self.protocol.endswith("-offline")

    @property
    def worker(self) -> str:
        """The module that measures it."""
        return f"benchmarks.systems.{self.system}{'_offline' if self.offline else ''}"

    def __str__(self) -> str:
        return f"{self.system} {self.protocol}{' TLS' if self.tls else ''}"


OURS = "tacit"

# CHEETAH (SPU's two-party protocol without a dealer) is left out: it takes up to 24 GB of memory for these sizes and
# is slower than SPU's other protocols in every case.
SYSTEMS: Mapping[str, Sequence[Variant]] = {
    "tacit": (
        Variant("tacit", "Assisted"),
        Variant("tacit", "Assisted-offline"),
        Variant("tacit", "Replicated"),
        Variant("tacit", "Assisted", tls=True),
    ),
    "spu": (Variant("spu", "ABY3"), Variant("spu", "SEMI2K-TFP")),
    "crypten": (Variant("crypten", "2PC-TFP"), Variant("crypten", "2PC-TTP")),
}


class VariantError(ValueError):
    """A selection names a system or protocol that is not measured."""


def select(text: str) -> list[Variant]:
    """Parse `tacit,spu:ABY3`: a system alone means all of its variants; `:TLS` after a protocol means over TLS."""
    chosen: list[Variant] = []
    for word in text.split(","):
        system, _, rest = word.strip().partition(":")
        if system not in SYSTEMS:
            raise VariantError(f"no system {system!r}; there are {', '.join(SYSTEMS)}")
        protocol, _, suffix = rest.partition(":")
        found = [
            v for v in SYSTEMS[system] if not protocol or (v.protocol, v.tls) == (protocol, suffix.upper() == "TLS")
        ]
        if not found:
            names = ", ".join(f"{v.protocol}{':TLS' if v.tls else ''}" for v in SYSTEMS[system])
            raise VariantError(f"{system} has no variant {rest!r}; there are {names}")
        chosen += found
    return list(dict.fromkeys(chosen))
