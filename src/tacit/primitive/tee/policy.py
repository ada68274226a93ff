"""Which enclave is trusted, what it may run, and who may read its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from tacit.foundation.errors import ConfigError
from tacit.primitive.tee.canonical import canonical, digest, is_hex, is_name
from tacit.primitive.tee.formats import FORMATS, MEASUREMENT_BYTES, SIMULATION

Profile = Literal["production", "development"]


@dataclass(frozen=True)
class Policy:
    """A closed list: what is not named is refused. All verifiers of an enclave hold the same policy, and it is bound
    into the evidence by its hash; the enclave enforces `programs` and `receivers` itself.

    profile: simulated evidence is refused unless this says "development".
    measurements: for each accepted evidence format, the accepted measurements in hex.
    receivers: the parties to whom results may be sealed.
    programs: `function:NAME` and `exported:SHA-256`; empty means that the sign-off of every input's owner decides.
    simulation_roots: public keys (hex) of the simulation roots that are believed; development only.

    Raises: ConfigError for a policy that is empty, contradictory or malformed.
    """

    profile: Profile
    measurements: Mapping[str, Sequence[str]]
    receivers: Sequence[str]
    programs: Sequence[str] = ()
    simulation_roots: Sequence[str] = ()

    def __post_init__(self) -> None:
        measurements = {kind: tuple(sorted(set(accepted))) for kind, accepted in self.measurements.items()}
        object.__setattr__(self, "measurements", MappingProxyType(measurements))
        for name in ("receivers", "programs", "simulation_roots"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise ConfigError(f"{name} is a list, got {value!r}")
            object.__setattr__(self, name, tuple(sorted(set(value))))
        self._check()

    def _check(self) -> None:
        if self.profile not in ("production", "development"):
            raise ConfigError(f"a policy's profile is production or development, not {self.profile!r}")
        if not any(self.measurements.values()):
            raise ConfigError("this policy names no measurement, so it would say nothing. List those that you accept")
        if not self.receivers:
            raise ConfigError("this policy names no receiver, so no result could leave. List who may read results")
        for kind, accepted in self.measurements.items():
            if kind not in FORMATS:
                raise ConfigError(f"{kind!r} is no evidence format; these are: {', '.join(FORMATS)}")
            if not accepted:
                raise ConfigError(f"the policy accepts {kind} with no measurement. Name one, or leave {kind} out")
            for text in accepted:
                if not is_hex(text, MEASUREMENT_BYTES[kind]):
                    raise ConfigError(f"a measurement of {kind} is {MEASUREMENT_BYTES[kind]} bytes in lower-case hex")
        if not all(map(is_name, self.receivers)):
            raise ConfigError("receivers are names of parties")
        for program in self.programs:
            kind, _, what = program.partition(":")
            if not (kind == "function" and is_name(what)) and not (kind == "exported" and is_hex(what, 32)):
                raise ConfigError(f"{program!r} is no program; write function:NAME or exported:SHA-256-IN-HEX")
        if not all(is_hex(root, 32) for root in self.simulation_roots):
            raise ConfigError("a simulation root is an Ed25519 public key, 32 bytes in hex")
        simulated = SIMULATION in self.measurements
        if (simulated or self.simulation_roots) and self.profile != "development":
            raise ConfigError(
                "a production policy accepts no simulated enclave: it protects nothing from its host. "
                "Drop the simulation from the policy, or say profile='development'"
            )
        if simulated and not self.simulation_roots:
            raise ConfigError("the policy accepts simulated enclaves of no root. Pin one in simulation_roots")

    @classmethod
    def development(
        cls, *, root: str, measurement: str, receivers: Sequence[str], programs: Sequence[str] = ()
    ) -> Self:
        """A policy that accepts one simulated enclave: for tests and for building without hardware, no protection."""
        return cls("development", {SIMULATION: (measurement,)}, receivers, programs, (root,))

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "measurements": {kind: list(accepted) for kind, accepted in self.measurements.items()},
            "profile": self.profile,
            "programs": list(self.programs),
            "receivers": list(self.receivers),
            "simulation_roots": list(self.simulation_roots),
        }

    @classmethod
    def parse(cls, document: object) -> Self:
        """Read what `document` gives. Raises ConfigError for anything else."""
        if not isinstance(document, Mapping) or document.keys() != FIELDS:
            raise ConfigError(f"a policy has exactly the fields {', '.join(sorted(FIELDS))}")
        lists = [document["programs"], document["receivers"], document["simulation_roots"]]
        if isinstance(document["measurements"], Mapping):
            lists += document["measurements"].values()
        else:
            raise ConfigError("measurements are lists under the name of an evidence format")
        if not all(isinstance(entry, list) and all(isinstance(text, str) for text in entry) for entry in lists):
            raise ConfigError("the fields of a policy are lists of text")
        return cls(**document)

    @property
    def digest(self) -> str:
        """SHA-256 over the canonical document, in hex."""
        return digest("tacit tee policy 1", canonical(self.document()))


FIELDS: Final = frozenset({"measurements", "profile", "programs", "receivers", "simulation_roots"})
