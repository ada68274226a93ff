"""Where evidence comes from: device files that a test lays out, none at all, and the simulation."""

from __future__ import annotations

import copy
import ctypes
import fcntl
import json
import pickle
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tacit.foundation.errors import ConfigError, EvidenceUnavailable, InputError, SecrecyError
from tacit.resource.enclave import SimulationRoot, SimulationSource, attested_source, platform, simulated_measurement
from tacit.resource.enclave.platform import SNP_IOCTL, SNP_REQUEST, GramineSource, SnpSource, TsmSource, snp_report
from tacit.resource.enclave.simulation import MAGIC

DATA = bytes(range(64))


def lay(root: Path, path: str, content: bytes = b"") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def test_a_machine_without_devices_says_what_is_missing_and_what_helps(tmp_path: Path) -> None:
    with pytest.raises(EvidenceUnavailable) as caught:
        attested_source(tmp_path)
    for word in ("/dev/attestation", "/sys/kernel/config/tsm/report", "/dev/sev-guest", "/dev/tdx_guest", "Gramine"):
        assert word in str(caught.value)
    assert "simulation" in str(caught.value)


def test_a_tdx_device_alone_gives_no_quotes(tmp_path: Path) -> None:
    lay(tmp_path, "dev/tdx_guest")
    with pytest.raises(EvidenceUnavailable, match="Mount configfs"):
        attested_source(tmp_path)


def test_gramine_is_asked_by_its_files(tmp_path: Path) -> None:
    lay(tmp_path, "dev/attestation/attestation_type", b"dcap\n")
    lay(tmp_path, "dev/attestation/quote", b"a quote")
    asked = lay(tmp_path, "dev/attestation/user_report_data")
    source = attested_source(tmp_path)
    assert isinstance(source, GramineSource)
    assert source.assurance == "ATTESTED"
    assert source.quote(DATA) == b"a quote"
    assert asked.read_bytes() == DATA
    with pytest.raises(InputError, match="64 bytes"):
        source.quote(b"short")


@pytest.mark.parametrize("kind", [b"none", b"epid", b"\xff", b"none\n"])
def test_gramine_without_attestation_says_what_to_set(tmp_path: Path, kind: bytes) -> None:
    lay(tmp_path, "dev/attestation/attestation_type", kind)
    with pytest.raises(EvidenceUnavailable, match="remote_attestation"):
        attested_source(tmp_path)


def test_a_device_file_that_fails_is_a_typed_error(tmp_path: Path) -> None:
    lay(tmp_path, "dev/attestation/attestation_type", b"dcap")
    source = attested_source(tmp_path)
    with pytest.raises(EvidenceUnavailable, match="user_report_data of attestation cannot be written"):
        source.quote(DATA)
    lay(tmp_path, "dev/attestation/user_report_data")
    with pytest.raises(EvidenceUnavailable, match="quote of attestation cannot be read"):
        source.quote(DATA)
    lay(tmp_path, "dev/attestation/quote", b"")
    with pytest.raises(EvidenceUnavailable, match="0 bytes"):
        source.quote(DATA)
    lay(tmp_path, "dev/attestation/quote", bytes((1 << 16) + 1))
    with pytest.raises(EvidenceUnavailable, match="65537 bytes"):
        source.quote(DATA)


def lay_tsm(root: Path, monkeypatch: pytest.MonkeyPatch, generation: bytes) -> tuple[Path, dict[str, bytes]]:
    """Make entries as the kernel would: their files are there at once, and go with them."""
    folder = root / platform.TSM
    folder.mkdir(parents=True)
    asked: dict[str, bytes] = {}
    make, remove = Path.mkdir, Path.rmdir

    def mkdir(self: Path, *arguments: object, **options: object) -> None:
        make(self, *arguments, **options)
        if self.parent == folder:
            for name, content in (("inblob", b""), ("outblob", b"a quote"), ("generation", generation)):
                (self / name).write_bytes(content)

    def rmdir(self: Path) -> None:
        asked[self.name] = (self / "inblob").read_bytes()
        for file in self.iterdir():
            file.unlink()
        remove(self)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    monkeypatch.setattr(Path, "rmdir", rmdir)
    return folder, asked


def test_configfs_is_asked_in_an_entry_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, asked = lay_tsm(tmp_path, monkeypatch, b"1\n")
    source = attested_source(tmp_path)
    assert isinstance(source, TsmSource)
    assert source.quote(DATA) == b"a quote"
    assert list(asked.values()) == [DATA]
    assert list(folder.iterdir()) == []


def test_a_report_that_somebody_else_wrote_to_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = lay_tsm(tmp_path, monkeypatch, b"2\n")
    with pytest.raises(EvidenceUnavailable, match="somebody else wrote"):
        attested_source(tmp_path).quote(DATA)
    assert list(folder.iterdir()) == []


def test_configfs_without_the_right_to_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / platform.TSM).mkdir(parents=True)
    source = attested_source(tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(EvidenceUnavailable, match="Permission denied"):
        source.quote(DATA)


def test_the_snp_device_is_asked_as_the_kernel_documents_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "dev/sev-guest")
    report = bytes(range(256)) * 4 + bytes(160)

    def ioctl(_: int, code: int, message: bytearray, mutate: bool) -> int:
        assert (code, mutate, len(message)) == (0xC0205300, True, 32)
        version, request, response, _status = SNP_IOCTL.unpack(message)
        data, vmpl = SNP_REQUEST.unpack(ctypes.string_at(request, SNP_REQUEST.size))
        assert (version, data, vmpl) == (1, DATA, 0)
        answer = struct.pack("<II24x", 0, 1184) + report
        ctypes.memmove(response, answer, len(answer))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    source = attested_source(tmp_path)
    assert isinstance(source, SnpSource)
    assert source.quote(DATA) == report


def test_a_failing_snp_device_is_a_typed_error(tmp_path: Path) -> None:
    lay(tmp_path, "dev/sev-guest")
    with pytest.raises(EvidenceUnavailable, match="gave no report"):
        attested_source(tmp_path).quote(DATA)
    for status, size in ((1, 1184), (0, 0), (0, 4000)):
        with pytest.raises(EvidenceUnavailable, match="firmware answered"):
            snp_report(struct.pack("<II", status, size) + bytes(3992))


def test_simulated_evidence_says_so_and_is_signed_by_its_root() -> None:
    root = SimulationRoot.create()
    source = SimulationSource(root, "ab" * 48)
    quote = source.quote(DATA)
    Ed25519PublicKey.from_public_bytes(bytes.fromhex(root.public)).verify(quote[-64:], quote[:-64])
    document = json.loads(quote[len(MAGIC) : -64])
    assert document["assurance"] == "SIMULATED"
    assert document["report_data"] == DATA.hex()
    assert quote.startswith(b"SIMULATED")
    assert all("SIMULATED" in repr(thing) for thing in (root, source))
    with pytest.raises(InputError, match="64 bytes"):
        source.quote(b"")


def test_a_root_is_kept_in_a_file_of_its_users_only(tmp_path: Path) -> None:
    root = SimulationRoot.create()
    path = tmp_path / "state" / "root"
    root.save(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SimulationRoot.load(path).public == root.public
    with pytest.raises(FileExistsError):
        root.save(path)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="open to others"):
        SimulationRoot.load(path)
    path.write_text("tacit SIMULATED root 1 00\n")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="holds no simulation root"):
        SimulationRoot.load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        SimulationRoot.load(tmp_path / "absent")
    with pytest.raises(InputError, match="32 bytes"):
        SimulationRoot.of_secret(b"")


def test_a_root_is_not_shown_or_copied() -> None:
    root = SimulationRoot.create()
    assert root.secret().hex() not in repr(root)
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(SecrecyError):
            leave(root)


def test_the_same_installation_has_the_same_measurement() -> None:
    measurement = simulated_measurement()
    assert len(measurement) == 96
    assert measurement == simulated_measurement()
