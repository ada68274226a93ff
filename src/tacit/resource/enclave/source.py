"""Where an enclave's evidence comes from: one interface, a platform's device or the simulation behind it."""

from __future__ import annotations

from typing import Literal, Protocol


class EvidenceSource(Protocol):
    """What can vouch for this process. The enclave's code is the same whichever this is."""

    @property
    def assurance(self) -> Literal["SIMULATED", "ATTESTED"]:
        """What the evidence is worth; SIMULATED protects nothing from the host."""

    @property
    def name(self) -> str:
        """Which device or simulation this is."""

    def quote(self, report_data: bytes) -> bytes:
        """Have the platform sign 64 bytes together with the measurement of what runs here.

        Raises: EvidenceUnavailable when the platform gives none.
        """
