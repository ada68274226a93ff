"""What everybody may know about a saved model: whose shares it needs, and under which protocol."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self, final

from tacit.foundation.errors import ConfigError
from tacit.foundation.files import write_private
from tacit.primitive.mpc.protocol import PROTOCOLS, Protocol, protocol_name

FILE = "model.json"
VERSION = 1


@final
@dataclass(frozen=True, slots=True)
class ModelDescription:
    """Parties in the order of the protocol (the helper last), and the protocol. Public."""

    parties: tuple[str, ...]
    protocol: str
    fraction_bits: int

    @classmethod
    def of(cls, parties: tuple[str, ...], protocol: Protocol) -> Self:
        """Describe a model of these parties."""
        return cls(parties, protocol_name(protocol), protocol.fraction_bits)

    def make_protocol(self) -> Protocol:
        """The protocol as a value."""
        return PROTOCOLS[self.protocol](fraction_bits=self.fraction_bits)

    def save(self, folder: Path) -> None:
        """Write it beside the shares."""
        write_private(folder / FILE, json.dumps({"version": VERSION, **asdict(self)}, indent=2).encode() + b"\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote. Raises ConfigError."""
        try:
            fields = json.loads((folder / FILE).read_bytes())
            known = fields["version"] == VERSION and fields["protocol"] in PROTOCOLS
            found = cls(tuple(map(str, fields["parties"])), fields["protocol"], int(fields["fraction_bits"]))
        except OSError:
            raise ConfigError(
                f"{folder} holds no model: there is no {FILE}. Name the output folder of a training job."
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            known = False
        if not known:
            raise ConfigError(f"{folder / FILE} describes no model of this version. Train again.")
        return found
