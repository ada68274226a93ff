"""Enclaves as processes, by the procedures a session would call: one whole run, hardening, and what dies how."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import alive, gone
from tee_rig import Rig

from tacit.foundation.errors import (
    ConfigError,
    EnclaveError,
    EnvelopeRefused,
    EvidenceRefused,
    EvidenceUnavailable,
    FrameOversized,
    InputError,
    JobRefused,
    NoVerifier,
    PeerDied,
    PeerStalled,
    SessionError,
)
from tacit.foundation.ledger import verify as verify_ledger
from tacit.primitive.tee import Job, JobInput, JobOutput, Policy, Program
from tacit.resource.enclave import LineLimits, SimulationRoot, simulated_measurement
from tacit.schedule.enclave import HostedEnclave, export_program, program_of

pytestmark = pytest.mark.multiprocess
SCORE = Program("function", "linear.score", {"link": "logistic"})


class Hosted:
    """alice and bob, and carol who hosts an enclave process; each step by its procedure."""

    def __init__(self, folder: Path, **start: Any) -> None:
        self.rig = Rig(folder)
        _, self.platform = self.rig.call("carol", "tee.platform", backend="simulation")
        self.keys = self.rig.meet("alice", "bob")
        self.policy = Policy.development(
            root=self.platform["root"], measurement=self.platform["measurement"], receivers=["bob"]
        )
        _, self.hello = self.rig.call(
            "carol",
            "tee.start",
            **{
                "enclave": "tee",
                "session": self.rig.session,
                "policy": self.policy.document(),
                "backend": "simulation",
                **start,
            },
        )

    @property
    def hosted(self) -> HostedEnclave:
        return self.rig.state["carol"]["tee.host"].enclaves["tee"]

    def attest(self) -> None:
        nonces = {name: self.rig.call(name, "tee.challenge", enclave="tee")[1]["nonce"] for name in ("alice", "bob")}
        (evidence,), _ = self.rig.call("carol", "tee.attest", enclave="tee", nonces=nonces)
        for name in ("alice", "bob"):
            _, facts = self.rig.call(name, "tee.verify", [evidence], enclave="tee", policy=self.policy.document())
            assert (facts["outcome"], facts["assurance"]) == ("trusted", "SIMULATED")

    def agree(self, program: Program, *inputs: JobInput, shown: tuple[Any, ...] = ()) -> tuple[str, str]:
        attested = self.rig.party("alice").trusted("tee").attested
        job = Job.propose(attested, program, inputs, [JobOutput("out", ("bob",))], self.keys)
        text = job.to_bytes().decode()
        for name in ("alice", "bob"):
            assert self.rig.call(name, "tee.approve", blobs=shown, job=text, because="a test")[1]["job"] == job.digest
        return text, job.digest

    def close(self) -> None:
        for enclave in self.rig.state["carol"]["tee.host"].enclaves.values():
            enclave.close()


@pytest.fixture
def hosted(tmp_path: Path) -> Iterator[Hosted]:
    world = Hosted(tmp_path)
    yield world
    world.close()


def test_a_whole_run_by_procedures(hosted: Hosted) -> None:
    hosted.attest()
    rig = hosted.rig
    weights, intercept, rows = np.array([0.25, -1.5]), np.array(0.125), np.arange(8.0).reshape(4, 2) / 3
    job, digest = hosted.agree(
        SCORE,
        JobInput("alice", "w", (2,), "<f8"),
        JobInput("alice", "b", (), "<f8"),
        JobInput("bob", "x", (4, 2), "<f8"),
    )
    envelopes = [
        rig.call(owner, "tee.seal", [value], job=digest, name=name)[0][0]
        for owner, name, value in (("alice", "w", weights), ("alice", "b", intercept), ("bob", "x", rows))
    ]
    results, facts = rig.call("carol", "tee.run", envelopes, enclave="tee", job=job)
    assert facts == {"assurance": "SIMULATED", "outputs": [["out", "bob"]]}
    (scores,), facts = rig.call("bob", "tee.unseal", results, job=digest, name="out")
    assert facts == {"assurance": "SIMULATED"}
    assert np.allclose(scores, 1 / (1 + np.exp(-(rows @ weights + intercept))), rtol=1e-12)
    seen = b"".join(array.tobytes() for array in (*envelopes, *results))
    for array in (weights, intercept, rows, scores):
        assert not any(number.tobytes() in seen for number in array.reshape(-1) if number)
    assert [record["kind"] for record in rig.records("carol")] == ["tee-run"]
    for party in ("alice", "bob", "carol"):
        assert all(record["assurance"] == "SIMULATED" for record in verify_ledger(rig.folder / f"{party}.ledger"))
    rig.call("carol", "tee.stop", enclave="tee")
    with pytest.raises(EnclaveError, match="no enclave 'tee' runs here"):
        rig.call("carol", "tee.attest", enclave="tee", nonces={"alice": "0" * 64})


def test_an_exported_program_in_the_process(hosted: Hosted) -> None:
    hosted.attest()
    rig = hosted.rig
    blob = export_program(lambda x, y: x @ y, [((2, 3), "<f8"), ((3,), "<f8")])
    shown = np.frombuffer(blob, np.uint8)
    inputs = JobInput("alice", "x", (2, 3), "<f8"), JobInput("bob", "y", (3,), "<f8")
    job, digest = hosted.agree(program_of(blob), *inputs, shown=(shown,))
    x, y = np.arange(6.0).reshape(2, 3), np.array([1.0, -1.0, 0.5])
    envelopes = [
        rig.call(owner, "tee.seal", [value], job=digest, name=name)[0][0]
        for owner, name, value in (("alice", "x", x), ("bob", "y", y))
    ]
    swapped = shown.copy()
    swapped[-1] ^= 1
    with pytest.raises(JobRefused, match="swapped"):
        rig.call("carol", "tee.run", envelopes, blobs=[swapped], enclave="tee", job=job, exported=True)
    with pytest.raises(JobRefused, match="another program than the one that alice was shown"):
        rig.call("alice", "tee.approve", blobs=[swapped], job=job, because="a test")
    results, _ = rig.call("carol", "tee.run", envelopes, blobs=[shown], enclave="tee", job=job, exported=True)
    assert rig.call("bob", "tee.unseal", results, job=digest, name="out")[0][0].tolist() == (x @ y).tolist()


def test_a_refusal_leaves_the_enclave_running(hosted: Hosted) -> None:
    hosted.attest()
    job, _ = hosted.agree(SCORE, JobInput("alice", "w", (2,), "<f8"))
    with pytest.raises(EnvelopeRefused):
        hosted.rig.call("carol", "tee.run", [np.zeros(500, np.uint8)], enclave="tee", job=job)
    with pytest.raises(InputError, match="32 bytes in hex"):
        hosted.rig.call("carol", "tee.attest", enclave="tee", nonces={"alice": "00"})
    with pytest.raises(SessionError, match="no question"):
        _raise(hosted, "open sesame")
    with pytest.raises(SessionError, match="no array of bytes"):
        hosted.rig.call("carol", "tee.run", [np.zeros(3)], enclave="tee", job=job)
    hosted.attest()


def test_questions_of_several_threads_get_their_own_answers(hosted: Hosted) -> None:
    nonces = [secrets.token_hex(32) for _ in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda nonce: hosted.hosted.attest({"alice": nonce}), nonces))
    assert all(nonce.encode() in answer for nonce, answer in zip(nonces, answers, strict=True))


def _raise(hosted: Hosted, kind: str) -> None:
    answer, fields, _ = hosted.hosted.process.ask(kind, {})
    assert answer == "error"
    assert fields["type"] == "SessionError"
    raise SessionError(fields["message"])


def test_the_process_is_hardened(hosted: Hosted) -> None:
    assert set(hosted.hello["hardening"]) >= {
        "environment cleared",
        "no core dumps",
        "not traceable by its user",
        "no new privileges",
        "killed with its parent",
    }
    pid = hosted.hosted.process.pid
    status = Path(f"/proc/{pid}/status").read_text()
    assert re.search(r"NoNewPrivs:\s+1", status)
    assert re.search(r"Max core file size\s+0\s+0", Path(f"/proc/{pid}/limits").read_text())
    assert Path(f"/proc/{pid}/mem").stat().st_uid == 0  # of the administrator, though the process is its user's
    if os.getuid() == 0:
        links = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
        assert {link for link in links if not link.startswith("pipe:")} == {os.devnull}


def test_all_that_it_says_says_simulated(hosted: Hosted) -> None:
    assert hosted.hello["assurance"] == hosted.platform["assurance"] == "SIMULATED"
    assert hosted.platform["format"].startswith("SIMULATED")
    assert "SIMULATED" in repr(hosted.hosted)


def test_a_killed_enclave_is_a_typed_error_at_once(hosted: Hosted) -> None:
    process = hosted.hosted.process
    os.kill(process.pid, signal.SIGSTOP)
    threading.Timer(0.3, os.kill, (process.pid, signal.SIGKILL)).start()
    began = time.monotonic()
    with pytest.raises(PeerDied, match=r"enclave tee ended \(signal 9\)"):
        hosted.rig.call("carol", "tee.attest", enclave="tee", nonces={"alice": "0" * 64})
    assert time.monotonic() - began < 30.0
    with pytest.raises(PeerDied):
        hosted.rig.call("carol", "tee.attest", enclave="tee", nonces={"alice": "0" * 64})


def test_a_program_that_does_not_end_is_ended_at_the_deadline(tmp_path: Path) -> None:
    world = Hosted(tmp_path, deadline=6.0)
    world.attest()

    def endless(x: Any) -> Any:
        import jax

        return jax.lax.while_loop(lambda state: state[0] >= 0, lambda state: state * 0.5, x)

    blob = export_program(endless, [((1,), "<f8")])
    job, digest = world.agree(program_of(blob), JobInput("alice", "x", (1,), "<f8"))
    (envelope,), _ = world.rig.call("alice", "tee.seal", [np.ones(1)], job=digest, name="x")
    pid = world.hosted.process.pid
    with pytest.raises(PeerStalled, match="within 6 s"):
        world.rig.call(
            "carol", "tee.run", [envelope], blobs=[np.frombuffer(blob, np.uint8)], enclave="tee", job=job, exported=True
        )
    assert gone([pid])
    world.close()


def test_an_enclave_dies_with_its_host(tmp_path: Path) -> None:
    root = SimulationRoot.create()
    root.save(tmp_path / "root")
    script = f"""
import sys, time
from pathlib import Path
from tacit.primitive.tee import Policy
from tacit.resource.enclave import SimulationRoot
from tacit.schedule.enclave import HostedEnclave
root = SimulationRoot.load(Path({str(tmp_path / "root")!r}))
policy = Policy.development(root=root.public, measurement="ab" * 48, receivers=["bob"])
hosted = HostedEnclave.start("tee", "0" * 16, policy, backend="simulation", root=root)
print(hosted.process.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        pid = int(host.stdout.readline())
        assert alive(pid)
        host.kill()
    assert gone([pid])


def test_a_host_thread_may_end_without_the_enclave(tmp_path: Path) -> None:
    root = SimulationRoot.create()
    policy = Policy.development(root=root.public, measurement=simulated_measurement(), receivers=["bob"])
    started: list[HostedEnclave] = []

    def start() -> None:
        started.append(HostedEnclave.start("tee", "0" * 16, policy, backend="simulation", root=root))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "killed with its parent" not in started[0].hello["hardening"]
    assert started[0].attest({"alice": "0" * 64})
    pid = started[0].process.pid
    started[0].close()
    assert gone([pid])


def test_an_oversized_frame_is_refused_by_both_ends(tmp_path: Path) -> None:
    root = SimulationRoot.create()
    policy = Policy.development(root=root.public, measurement="ab" * 48, receivers=["bob"])
    limits = LineLimits(total=1000)
    with HostedEnclave.start(
        "tee", "0" * 16, policy, backend="simulation", root=root, limits=limits
    ).process as process:
        with pytest.raises(FrameOversized, match="at most 1000"):
            process.ask("run", {}, [bytes(1001)])
        assert alive(process.pid)
        os.write(process.line.descriptors[1], b"TCE1\xff\xff\xff\xff\0\0\0\0")  # a head of 4 GiB
        answer, fields, _ = process.line.receive(deadline=30.0)
        assert (answer, fields["type"]) == ("error", "FrameOversized")
        assert gone([process.pid])


def test_a_platform_without_evidence_says_so_on_both_paths(tmp_path: Path) -> None:
    if (
        any(Path(path).exists() for path in ("/dev/attestation", "/dev/sev-guest", "/dev/tdx_guest"))
        or Path("/sys/kernel/config/tsm/report").is_dir()
    ):
        pytest.skip("this machine gives evidence")
    rig = Rig(tmp_path)
    policy = Policy("production", {"tdx-quote": ["ab" * 48]}, ["bob"])
    start = {"enclave": "tee", "session": rig.session, "policy": policy.document()}
    with pytest.raises(EvidenceUnavailable, match="gives no evidence"):
        rig.call("carol", "tee.platform", backend="attested")
    with pytest.raises(EvidenceUnavailable, match="gives no evidence"):
        rig.call("carol", "tee.start", backend="attested", **start)
    assert rig.state["carol"]["tee.host"].enclaves == {}
    with pytest.raises(ConfigError, match="simulation or attested"):
        rig.call("carol", "tee.platform", backend="trust me")
    with pytest.raises(ConfigError):
        rig.call("carol", "tee.start", backend="trust me", **start)


def test_a_simulated_enclave_under_a_production_policy_is_refused_by_its_verifiers(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.meet("alice", "bob")
    policy = Policy("production", {"tdx-quote": ["ab" * 48]}, ["bob"]).document()
    rig.call("carol", "tee.start", enclave="tee", session=rig.session, policy=policy, backend="simulation")
    nonce = rig.call("alice", "tee.challenge", enclave="tee")[1]["nonce"]
    (evidence,), _ = rig.call("carol", "tee.attest", enclave="tee", nonces={"alice": nonce})
    with pytest.raises(EvidenceRefused, match="SIMULATED and the policy's profile is not development"):
        rig.call("alice", "tee.verify", [evidence], enclave="tee", policy=policy)
    assert rig.records("alice")[-1]["outcome"] == "refused"
    with pytest.raises((EvidenceRefused, NoVerifier)):
        rig.call("alice", "tee.verify", [np.zeros(10, np.uint8)], enclave="tee", policy=policy)
    assert rig.records("alice")[-1]["outcome"] == "refused"
    rig.call("carol", "tee.stop", enclave="tee")


def test_names_and_order_are_checked(hosted: Hosted) -> None:
    rig = hosted.rig
    with pytest.raises(SessionError, match="runs at carol already"):
        rig.call(
            "carol",
            "tee.start",
            enclave="tee",
            session=rig.session,
            policy=hosted.policy.document(),
            backend="simulation",
        )
    with pytest.raises(SessionError, match=r"tee\.keys comes first"):
        rig.call("dave", "tee.challenge", enclave="tee")
    with pytest.raises(SessionError, match="has keys for session"):
        rig.call("alice", "tee.keys", session="f" * 16)
    with pytest.raises(SessionError):
        rig.call("dave", "tee.keys", session="none")
    with pytest.raises(ConfigError, match="names no measurement"):
        rig.call("alice", "tee.verify", [np.zeros(1, np.uint8)], enclave="tee", policy={
            **hosted.policy.document(), "measurements": {}})  # fmt: skip
    with pytest.raises(ConfigError, match="exactly the fields"):
        rig.call("carol", "tee.start", enclave="b", session=rig.session, policy={}, backend="simulation")
    with pytest.raises(JobRefused):
        rig.call("alice", "tee.approve", job="{}", because="a test")
