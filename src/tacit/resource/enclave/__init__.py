"""Enclaves as the operating system sees them: their process, the line to it, and where evidence comes from."""

from tacit.resource.enclave.harden import die_with, harden, take_line
from tacit.resource.enclave.line import EnclaveLine, LineLimits
from tacit.resource.enclave.platform import attested_source
from tacit.resource.enclave.process import EnclaveProcess, Launcher
from tacit.resource.enclave.simulation import SimulationRoot, SimulationSource, simulated_measurement
from tacit.resource.enclave.source import EvidenceSource

__all__ = [
    "EnclaveLine",
    "EnclaveProcess",
    "EvidenceSource",
    "Launcher",
    "LineLimits",
    "SimulationRoot",
    "SimulationSource",
    "attested_source",
    "die_with",
    "harden",
    "simulated_measurement",
    "take_line",
]
