"""Enclaves in a session: the worker that runs inside, the host that starts it, the parties that seal to it."""

from tacit.schedule.enclave.core import Enclave, check_policy
from tacit.schedule.enclave.function import ENCLAVE_FUNCTIONS, enclave_function
from tacit.schedule.enclave.host import HostedEnclave
from tacit.schedule.enclave.party import TeeParty
from tacit.schedule.enclave.program import export_program, program_of

__all__ = [
    "ENCLAVE_FUNCTIONS",
    "Enclave",
    "HostedEnclave",
    "TeeParty",
    "check_policy",
    "enclave_function",
    "export_program",
    "program_of",
]
