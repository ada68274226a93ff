"""Kinds of evidence, told apart by their bytes and never by what the sender calls them."""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import Final


def detect(quote: bytes) -> str:
    """Name the format of a quote or report; `unknown` when it is none of ours."""
    if quote.startswith(SIMULATION_MAGIC):
        return SIMULATION
    if len(quote) >= QUOTE_HEADER.size:
        version, key_type, tee = QUOTE_HEADER.unpack_from(quote)
        if version in (3, 4, 5) and key_type in (2, 3):  # ECDSA P-256 or P-384
            return {0x00: SGX, 0x81: TDX}.get(tee if version > 3 else 0, UNKNOWN)
    if len(quote) == SNP_REPORT_BYTES and quote[0] in (2, 3, 4, 5) and quote[1:4] == bytes(3):
        return SNP
    return UNKNOWN


SIMULATION: Final = "SIMULATED/1"
SGX: Final = "sgx-quote"
TDX: Final = "tdx-quote"
SNP: Final = "sev-snp-report"
UNKNOWN: Final = "unknown"
MEASUREMENT_BYTES: Final = MappingProxyType({SIMULATION: 48, SGX: 32, TDX: 48, SNP: 48})
FORMATS: Final = tuple(MEASUREMENT_BYTES)
SIMULATION_MAGIC: Final = b"SIMULATED enclave evidence 1: protects nothing\n"
QUOTE_HEADER: Final = struct.Struct("<HHI")  # version, attestation key type, TEE type (reserved in version 3)
SNP_REPORT_BYTES: Final = 1184
