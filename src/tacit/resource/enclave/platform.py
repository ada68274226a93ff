"""Evidence from a platform's own device files: Gramine's, the kernel's configfs-tsm, AMD's guest device.

Nothing here judges the evidence; it is read and handed on. A machine without such files gives none, and says so.
Source: Gramine's attestation pseudo-files; Linux Documentation/ABI/testing/configfs-tsm; Linux uapi sev-guest.h.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import secrets
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, final

from tacit.foundation.errors import EvidenceUnavailable, InputError
from tacit.resource.enclave.source import EvidenceSource


def attested_source(root: Path = Path("/")) -> EvidenceSource:
    """The evidence device of this machine, looked for in the order Gramine, configfs-tsm, AMD SEV-SNP.

    root: where the file system begins; another one than `/` is for tests.
    Raises: EvidenceUnavailable naming what is missing and what would help.
    """
    gramine, tsm, snp, tdx = (root / name for name in (GRAMINE, TSM, SNP_GUEST, TDX_GUEST))
    if (gramine / "attestation_type").exists():
        return GramineSource(gramine)
    if tsm.is_dir():
        return TsmSource(tsm)
    if snp.exists():
        return SnpSource(snp)
    if tdx.exists():
        raise EvidenceUnavailable(
            f"/{TDX_GUEST} is there, but it gives reports that only this machine can check; quotes come from /{TSM}. "
            "Mount configfs (mount -t configfs none /sys/kernel/config) and load the tdx_guest module of Linux 6.7 or later"
        )
    raise EvidenceUnavailable(
        f"this machine gives no evidence of an enclave: none of /{GRAMINE}, /{TSM}, /{SNP_GUEST}, /{TDX_GUEST} is there. "
        "Run the worker under Gramine with sgx.remote_attestation set, or in a TDX or SEV-SNP confidential VM; "
        "to build without hardware use backend='simulation', which protects nothing from its host"
    )


@final
class GramineSource:
    """SGX quotes through Gramine's `/dev/attestation`."""

    assurance: Literal["ATTESTED"] = "ATTESTED"
    name = "gramine"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        kind = _read(folder / "attestation_type").strip().decode("ascii", "replace")
        if kind != "dcap":
            raise EvidenceUnavailable(
                f"Gramine's attestation type is {kind!r}; quotes need 'dcap'. Set sgx.remote_attestation = \"dcap\" in the "
                "manifest, and run it by gramine-sgx: gramine-direct gives no evidence"
            )

    def quote(self, report_data: bytes) -> bytes:
        """An SGX quote over 64 bytes."""
        _check(report_data)
        _write(self._folder / "user_report_data", report_data)
        return _read(self._folder / "quote")

    def __repr__(self) -> str:
        return "GramineSource()"


@final
class TsmSource:
    """Quotes of a confidential VM (TDX, SEV-SNP, ...) through the kernel's configfs-tsm."""

    assurance: Literal["ATTESTED"] = "ATTESTED"
    name = "configfs-tsm"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def quote(self, report_data: bytes) -> bytes:
        """A quote over 64 bytes, in an entry of its own that nobody else wrote to meanwhile."""
        _check(report_data)
        entry = self._folder / f"tacit-{secrets.token_hex(8)}"
        try:
            entry.mkdir()
        except OSError as error:
            raise EvidenceUnavailable(
                f"no report can be asked for in /{TSM}: {error.strerror}. Run the worker with the right to write there"
            ) from None
        try:
            _write(entry / "inblob", report_data)
            first = _read(entry / "outblob")
            if _read(entry / "generation").strip() != b"1":
                raise EvidenceUnavailable(
                    "somebody else wrote to this process's report entry; the quote may not be ours"
                )
            return first
        finally:
            with suppress(OSError):
                entry.rmdir()

    def __repr__(self) -> str:
        return "TsmSource()"


@final
class SnpSource:
    """SEV-SNP reports through AMD's guest device, for kernels before 6.7."""

    assurance: Literal["ATTESTED"] = "ATTESTED"
    name = "sev-guest"

    def __init__(self, device: Path) -> None:
        self._device = device

    def quote(self, report_data: bytes) -> bytes:
        """A report over 64 bytes, asked for at VMPL 0."""
        _check(report_data)
        request = ctypes.create_string_buffer(SNP_REQUEST.pack(report_data, 0), SNP_REQUEST.size)
        response = ctypes.create_string_buffer(SNP_RESPONSE_BYTES)
        message = bytearray(SNP_IOCTL.pack(1, ctypes.addressof(request), ctypes.addressof(response), 0))
        try:
            device = os.open(self._device, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, SNP_GET_REPORT, message, True)
            finally:
                os.close(device)
        except OSError as error:
            firmware = SNP_IOCTL.unpack(message)[3]
            raise EvidenceUnavailable(
                f"/{SNP_GUEST} gave no report: {error.strerror} (firmware status {firmware:#x}). Run the worker with the "
                "right to use it, in a SEV-SNP guest"
            ) from None
        return snp_report(response.raw)

    def __repr__(self) -> str:
        return "SnpSource()"


def snp_report(response: bytes) -> bytes:
    """The report in the firmware's answer. Raises EvidenceUnavailable when the answer says it failed."""
    status, size = struct.unpack_from("<II", response)
    if status or size != SNP_REPORT_BYTES:
        raise EvidenceUnavailable(f"the firmware answered with status {status:#x} and a report of {size} bytes")
    return response[32 : 32 + size]


def _check(report_data: bytes) -> None:
    if len(report_data) != 64:
        raise InputError(f"report data has 64 bytes, got {len(report_data)}")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_EVIDENCE_BYTES + 1)
    except OSError as error:
        raise EvidenceUnavailable(f"{path.name} of {path.parent.name} cannot be read: {error.strerror}") from None
    if not data or len(data) > MAX_EVIDENCE_BYTES:
        raise EvidenceUnavailable(f"{path.name} of {path.parent.name} gave {len(data)} bytes, which is no evidence")
    return data


def _write(path: Path, data: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            written = os.write(descriptor, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise EvidenceUnavailable(f"{path.name} of {path.parent.name} cannot be written: {error.strerror}") from None
    if written != len(data):
        raise EvidenceUnavailable(f"{path.name} of {path.parent.name} took {written} of {len(data)} bytes")


GRAMINE: Final = "dev/attestation"
TSM: Final = "sys/kernel/config/tsm/report"
SNP_GUEST: Final = "dev/sev-guest"
TDX_GUEST: Final = "dev/tdx_guest"
MAX_EVIDENCE_BYTES: Final = 1 << 16
SNP_IOCTL: Final = struct.Struct("<B7xQQQ")  # struct snp_guest_request_ioctl: version, request, response, status
SNP_REQUEST: Final = struct.Struct("<64sI28x")  # struct snp_report_req: report data, VMPL
SNP_RESPONSE_BYTES: Final = 4000
SNP_REPORT_BYTES: Final = 1184
SNP_GET_REPORT: Final = 0xC0205300  # _IOWR('S', 0, struct snp_guest_request_ioctl)
