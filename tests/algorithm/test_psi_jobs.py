"""Jobs of any size: under a hard limit of memory, killed and taken up again, with huge keys; and what stays on disk."""

import json
import os
import secrets
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacit.algorithm.psi import Options, Source, align, psi
from tacit.algorithm.psi.job import Job
from tacit.algorithm.psi.join import match_files
from tacit.algorithm.psi.spill import spill
from tacit.foundation.errors import JobChanged, UnreadableFile
from tacit.foundation.ledger import Ledger, verify
from tacit.resource.identity import Identity, TrustStore

SCRIPT = Path(__file__).with_name("psi_party.py")

# --- killed -----------------------------------------------------------------------------------------------------------


class Pair:
    """Two parties in processes of their own, over TLS."""

    def __init__(self, folder, left, right, **options):
        self.folder = folder
        self.options = {"batch": 64, "pause": 0.02, "how": "inner", "reveal_to": "both", **options}
        identities = [Identity.create(name) for name in ("left", "right")]
        for identity, ids in zip(identities, (left, right), strict=True):
            identity.save(folder / identity.name)
            (folder / f"{identity.name}.csv").write_text("\n".join(["id", *ids]) + "\n")
        TrustStore.of(identities).save(folder / "trust")

    def start(self, **options):
        with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
            ports = {"left": a.getsockname()[1], "right": b.getsockname()[1]}
        given = {**self.options, **options, "folder": str(self.folder), "ports": ports, "session": secrets.token_hex(8)}
        return {
            name: subprocess.Popen(
                [sys.executable, str(SCRIPT), json.dumps({**given, "me": name})],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for name in ports
        }

    def steps(self, receiver):
        try:
            return json.loads((self.folder / f"{receiver}.work" / "job.json").read_text())["steps"]
        except (FileNotFoundError, ValueError):
            return 0


@pytest.mark.multiprocess
@pytest.mark.parametrize("killed", ["left", "right"])
def test_a_job_goes_on_after_either_side_was_killed(tmp_path, killed):
    left, right = [f"u{i}" for i in range(2400)], [f"u{i}" for i in range(1200, 4000)]
    pair = Pair(tmp_path, left, right)
    running = pair.start(pause=0.1)
    deadline = time.monotonic() + 60
    while pair.steps("left") < 6:
        assert time.monotonic() < deadline
        assert all(process.poll() is None for process in running.values()), running["left"].communicate()
        time.sleep(0.01)
    running[killed].send_signal(signal.SIGKILL)
    outputs = {name: process.communicate(timeout=60) for name, process in running.items()}
    (other,) = {"left", "right"} - {killed}
    assert running[killed].returncode == -signal.SIGKILL
    assert b"PeerDied" in outputs[other][1]
    for name in running:
        folder = tmp_path / f"{name}.work"
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    before = pair.steps("left")
    again = pair.start(pause=0.0)
    found = {}
    for name, process in again.items():
        out, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
        found[name] = json.loads(out)
    assert found["left"]["steps"][0] > before >= 6
    assert [left[i] for i in found["left"]["rows"]] == [right[j] for j in found["right"]["rows"]]
    assert sorted(found["left"]["rows"]) == list(range(1200, 2400))
    assert not list(tmp_path.glob("*.work"))


def test_a_job_that_lost_one_side_begins_its_exchange_again(tmp_path):
    ids = pa.table({"id": [f"u{i}" for i in range(50)]})
    job = Job.begin(tmp_path / "left", Source(ids, ("id",)), "left", Options())
    job.meet(os.urandom(32))  # a peer that is gone for good
    key = job.scalar.danger_octets()
    job.advance(1)
    found = psi(ids, ids, keys=["id"], work=tmp_path)
    assert found.size == 50
    assert not (tmp_path / "left").exists()
    assert key


def test_an_interrupted_job_refuses_another_table_or_other_terms(tmp_path):
    source = Source(pa.table({"id": ["a", "b"]}), ("id",))
    Job.begin(tmp_path, source, "left", Options())
    assert Job.begin(tmp_path, source, "left", Options()).items.count == 2
    with pytest.raises(JobChanged, match="table changed"):
        Job.begin(tmp_path, Source(pa.table({"id": ["a", "c"]}), ("id",)), "left", Options())
    with pytest.raises(JobChanged, match="other terms"):
        Job.begin(tmp_path, source, "left", Options(how="full"))
    (tmp_path / "job.json").write_text("{")
    with pytest.raises(JobChanged, match="damaged"):
        Job.begin(tmp_path, source, "left", Options())


def test_keys_do_not_show(tmp_path):
    job = Job.begin(tmp_path, Source(pa.table({"id": ["a"]}), ("id",)), "left", Options())
    secret = (tmp_path / "secret").read_bytes()
    assert secret.hex() not in repr(job) + (tmp_path / "job.json").read_text()
    assert "hidden" in repr(job)


def test_what_was_learnt_is_in_the_ledger(tmp_path):
    from tacit.algorithm.psi.intersection import in_threads

    tables = {"left": pa.table({"id": ["a", "b", "b"]}), "right": pa.table({"id": ["b", "c"]})}
    ledgers = {name: Ledger(tmp_path / f"{name}.ledger", name) for name in tables}

    def part(me, peer):
        return lambda driver: align(driver, peer, Source(tables[me], ("id",)), me, Options(), ledger=ledgers[me])

    in_threads({"left": part("left", "right"), "right": part("right", "left")})
    for name in tables:
        records = [record["what"] for record in verify(tmp_path / f"{name}.ledger")]
        assert "which keys of left are shared" in records
        assert "the number of distinct keys of right" in records
        assert "how often each side has each shared key" in records
        ledgers[name].close()


# --- large ------------------------------------------------------------------------------------------------------------


@given(
    left=st.lists(st.integers(0, 300), max_size=200),
    right=st.lists(st.integers(0, 300), max_size=200),
)
@settings(max_examples=5)
def test_many_buckets_give_what_one_gives(tmp_path_factory, left, right):
    def found(folder, values, buckets):
        source = Source(pa.table({"k": pa.array(values, pa.int64())}), ("k",))
        memory = max(1, len(values) * 56 * 6 // buckets)
        return spill(source, folder, bytes(16), nulls="refuse", memory=memory)[0]

    for values in (left, right):
        one, many = (found(tmp_path_factory.mktemp("spill"), values, n) for n in (1, 7))
        assert (
            (one.count, one.rows, one.kept)
            == (many.count, many.rows, many.kept)
            == (len(set(values)), *[len(values)] * 2)
        )
        grouped = [sorted(tuple(part.rows_of(np.array([i]))[0]) for i in range(part.count)) for part in (one, many)]
        assert grouped[0] == grouped[1]
        assert [len({values[row] for row in group}) for group in grouped[0]] == [1] * one.count


@pytest.mark.parametrize("memory", [1 << 30, 1 << 16])
def test_matching_in_buckets_finds_all_in_the_senders_order(tmp_path, memory):
    rng = np.random.default_rng(7)
    tokens = rng.integers(0, 256, (9000, 10), np.uint8)
    mine, theirs = rng.permutation(6000), rng.permutation(6000) + 3000
    (tmp_path / "mine").write_bytes(tokens[mine].tobytes())
    (tmp_path / "theirs").write_bytes(tokens[theirs].tobytes())
    matches = match_files(tmp_path, 6000, 6000, 10, memory)
    i, j = (np.concatenate(list(part)) for part in (matches.chunks(), matches.places()))
    assert matches.count == len(i) == 3000
    assert np.array_equal(mine[i], theirs[j])
    assert (np.diff(j) > 0).all()


LIMITED = """
import os, resource, sys, threading
from pathlib import Path
import pyarrow as pa, pyarrow.compute, pyarrow.csv
from tacit.algorithm.psi import Source, psi
from tacit.algorithm.psi.spill import spill

pa.set_cpu_count(1); pa.set_io_thread_count(1)
small = pa.table({"id": ["a", "b"]})
psi(small, small, keys=["id"])  # whatever is made once is made now
folder, memory = Path(sys.argv[1]), int(sys.argv[2])
pages = int(Path("/proc/self/statm").read_text().split()[0])
room = pages * os.sysconf("SC_PAGE_SIZE") + (160 << 20)
resource.setrlimit(resource.RLIMIT_AS, (room, room))
items, _ = spill(Source(str(folder / "large.csv"), ("id",)), folder / "spill", bytes(16), nulls="refuse", memory=memory)
assert items.count == 1_200_000, items
found = psi(folder / "small.csv", folder / "large.csv", keys=["id"], reveal_to="left", memory=memory) if len(sys.argv) > 3 else None
print(items.count, found and found.size)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    with (folder / "large.csv").open("w") as out:
        out.write("id\n")
        out.writelines(f"identifier-{i:020d}\n" for i in range(1_200_000))
    return folder


def limited(folder, *arguments):
    (folder / "spill").mkdir(exist_ok=True)
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-c", LIMITED, str(folder), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )


def test_a_table_is_read_and_sorted_under_a_hard_limit_of_memory(large):
    assert "MemoryError" in limited(large, str(1 << 31)).stderr  # the limit is one that sorting at once exceeds
    done = limited(large, str(1 << 24))
    assert done.stdout.split()[:1] == ["1200000"], done.stderr


@pytest.mark.slow
def test_two_sides_together_keep_a_hard_limit_of_memory(large):
    (large / "small.csv").write_text("id\n" + "".join(f"identifier-{i:020d}\n" for i in range(1_199_000, 1_202_000)))
    done = limited(large, str(1 << 24), "both")
    assert done.stdout.split() == ["1200000", "1000"], done.stderr


def test_a_key_of_a_hundred_megabytes_matches_and_in_csv_is_refused(tmp_path):
    huge = "x" * 100_000_000
    found = psi(pa.table({"k": [huge, "a"]}), pa.table({"k": ["b", huge]}), keys=["k"])
    assert (list(found.left.rows), list(found.right.rows)) == ([0], [1])
    (tmp_path / "huge.csv").write_text(f"k\n{huge[:40_000_000]}\n")
    with pytest.raises(UnreadableFile, match="MiB"):
        psi(tmp_path / "huge.csv", pa.table({"k": ["b"]}), keys=["k"])
