"""Private set intersection at size: seconds, bytes and memory of two processes, CSV files in and CSV files out, over TLS.

    python -m benchmarks.psi --json psi.json
    python -m benchmarks.psi --sizes 65536,1048576 --openmined 65536
    python -m benchmarks.psi --kernel

Both sides run on this machine at the same time, each with as many threads as there are cores; half of the keys are common. Seconds
are from when both sides are connected to when both wrote their rows; starting Python and making certificates is not in them.
With `--openmined N,...`, OpenMined PSI (ECDH on P-256, one thread a side, its raw encoding) does the same with N keys in an
environment of its own, its two sides in two processes as well; with `--spu N,...` so does SecretFlow SPU (ECDH on Curve25519), where
`make bench` has set up its environment. `--kernel` compares scalar multiplications with OpenSSL's, one core each.
"""

import argparse
import csv
import json
import os
import resource
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
OPENMINED = ROOT / ".bench" / "psi"
OPENMINED_VERSION = "openmined-psi==2.0.6"


def main():
    arguments = parser().parse_args()
    if arguments.party:
        print(json.dumps(party(arguments)))
        return
    rows = [kernel()]
    rows += [] if arguments.kernel else [row for n in arguments.sizes for row in tacit(n, arguments)]
    rows += [] if arguments.kernel else [spu(n, to) for n in arguments.spu for to in arguments.reveal_to]
    rows += [] if arguments.kernel else [openmined(n) for n in arguments.openmined]
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")


# --- one core ---------------------------------------------------------------------------------------------------------


def kernel():
    """Microseconds of processor time for each scalar multiplication, best of several rounds in turn."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from tacit import _native
    from tacit.primitive.psi.points import Scalar, encode

    _native.set_threads(1)
    points = encode(np.frombuffer(os.urandom(32 * 8192), np.uint8).reshape(-1, 32))
    scalar, key = Scalar.fresh(), X25519PrivateKey.generate()
    other = X25519PrivateKey.generate().public_key()
    best = {name: float("inf") for name in ("openssl", *isas())}
    for _ in range(5):
        began = time.process_time()
        for _ in range(2000):
            key.exchange(other)
        best["openssl"] = min(best["openssl"], (time.process_time() - began) / 2000)
        for isa in isas():
            _native.set_isa(isa)
            some = points if isa == "avx512" else points[:1024]
            began = time.process_time()
            scalar.multiply(np.ascontiguousarray(some))
            best[isa] = min(best[isa], (time.process_time() - began) / len(some))
        _native.set_isa(_native.best_isa())
    micro = {name: round(1e6 * seconds, 2) for name, seconds in best.items()}
    return {
        "what": "x25519 kernel",
        "microseconds": micro,
        "ratio": round(micro["openssl"] / micro[_native.best_isa()], 2),
    }


def isas():
    from tacit import _native

    names = ["portable", "avx2", "avx512"]
    return names[: 1 + names.index(_native.best_isa())]


# --- Tacit ------------------------------------------------------------------------------------------------------------


def tacit(n, arguments):
    """Both ways to tell: to both sides, and to the left one alone."""
    from tacit.resource.identity import Identity, TrustStore

    identities = {name: Identity.create(name) for name in ("left", "right")}
    for reveal_to in arguments.reveal_to:
        with tempfile.TemporaryDirectory(prefix="psi-bench-") as folder:
            base = Path(folder)
            write_tables(base, n)
            for name, identity in identities.items():
                identity.save(base / name)
            TrustStore.of(identities.values()).save(base / "trust")
            ports = free_ports()
            session = secrets.token_hex(8)
            running = {
                name: subprocess.Popen(
                    [
                        *(sys.executable, "-m", "benchmarks.psi", "--party", name, "--folder", folder),
                        *("--ports", ",".join(map(str, ports)), "--session", session, "--reveal-to", reveal_to),
                        *("--threads", str(arguments.threads)),
                    ],
                    stdout=subprocess.PIPE,
                    cwd=ROOT,
                )
                for name in identities
            }
            found = {name: json.loads(process.communicate()[0]) for name, process in running.items()}
            assert found["left"]["rows"] == n // 2, found
        yield {
            "what": "tacit ecdh",
            "keys": n,
            "reveal_to": reveal_to,
            "seconds": max(side["end"] for side in found.values()) - min(side["begin"] for side in found.values()),
            "processor_seconds": sum(side["processor"] for side in found.values()),
            "megabytes": sum(side["sent"] for side in found.values()) / 1e6,
            "peak_megabytes": max(side["peak"] for side in found.values()) / 1e6,
        }


def party(arguments):
    """One side: connect, and from then on the clock runs."""
    import pyarrow.compute
    import pyarrow.csv
    import pyarrow.parquet  # noqa: F401  not on the clock

    from tacit import _native
    from tacit.algorithm.psi import Options, align
    from tacit.algorithm.psi.source import Source
    from tacit.primitive.driver import Driver
    from tacit.resource.channel import connect_all
    from tacit.resource.identity import Identity, TrustStore

    _native.set_threads(arguments.threads)
    base = Path(arguments.folder)
    addresses = {name: ("127.0.0.1", port) for name, port in zip(("left", "right"), arguments.ports, strict=True)}
    me = arguments.party
    (peer,) = (name for name in addresses if name != me)
    channels = connect_all(
        me,
        addresses,
        Identity.load(base / me),
        TrustStore.load(base / "trust"),
        session=bytes.fromhex(arguments.session),
    )
    driver = Driver(me, channels)
    options = Options(reveal_to=arguments.reveal_to[0])
    begin, processor = time.time(), time.process_time()
    alignment = driver.run(align(driver, peer, Source(str(base / f"{me}.csv"), ("id",)), me, options))
    rows = 0
    if alignment.rows is not None:
        rows = write_rows(base / f"{me}.csv", alignment.rows, base / f"{me}.out.csv")
    end = time.time()
    sent = channels[peer].traffic
    result = {
        "begin": begin,
        "end": end,
        "processor": time.process_time() - processor,
        "rows": rows,
        "sent": sent.payload_sent + sent.overhead_sent,
        "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
    }
    channels[peer].close()
    return result


def write_tables(base, n):
    for name, first in (("left", 0), ("right", n // 2)):
        order = np.random.default_rng(first).permutation(n) + first
        lines = "\n".join(f"user-{i:012d},{i % 97}" for i in order)
        (base / f"{name}.csv").write_text(f"id,value\n{lines}\n")


def write_rows(source, rows, target):
    import pyarrow as pa
    from pyarrow import csv as arrow

    table_ = arrow.read_csv(source).take(pa.array(np.asarray(rows)))
    arrow.write_csv(table_, target)
    return table_.num_rows


def free_ports():
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        return a.getsockname()[1], b.getsockname()[1]


# --- OpenMined --------------------------------------------------------------------------------------------------------


def openmined(n):
    """The client learns the intersection; the server's set is sent raw, so that nothing is wrong by chance."""
    python = OPENMINED / "bin" / "python"
    if not python.exists():
        venv.create(OPENMINED, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", OPENMINED_VERSION], check=True)
    with tempfile.TemporaryDirectory(prefix="psi-bench-") as folder:
        write_tables(Path(folder), n)
        script = Path(__file__).with_name("psi_openmined.py")
        found = json.loads(subprocess.run([python, script, folder], check=True, stdout=subprocess.PIPE).stdout)
        with (Path(folder) / "left.out.csv").open() as lines:
            assert sum(1 for _ in csv.reader(lines)) == n // 2 + 1
    return {"what": OPENMINED_VERSION, "keys": n, "reveal_to": "left", **found}


# --- SPU --------------------------------------------------------------------------------------------------------------


def spu(n, reveal_to, protocol="ECDH"):
    """The receiver is the left side; `both` broadcasts the result."""
    python = ROOT / ".bench" / "spu" / "bin" / "python"
    if not python.exists():
        raise SystemExit("SPU's environment is not there: run make bench first, or leave out --spu")
    with tempfile.TemporaryDirectory(prefix="psi-bench-") as folder:
        write_tables(Path(folder), n)
        ports = ",".join(map(str, free_ports()))
        script = Path(__file__).with_name("psi_spu.py")
        command = [python, script, folder, protocol, reveal_to, ports]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        found = json.loads(done.stdout.splitlines()[-1])
    assert found.pop("found") == n // 2
    return {"what": f"spu {protocol} 25519", "keys": n, "reveal_to": reveal_to, **found}


# --- report -----------------------------------------------------------------------------------------------------------


def table(rows):
    lines = []
    for row in rows:
        if "microseconds" in row:
            lines.append(f"{row['what']}: {row['microseconds']} us each, {row['ratio']} times OpenSSL")
            continue
        lines.append(
            f"{row['what']:<24} {row['keys']:>9} keys, to {row['reveal_to']:<5} {row['seconds']:8.2f} s "
            f"{row['processor_seconds']:8.2f} core-s {row.get('megabytes', float('nan')):8.2f} MB sent, "
            f"{row.get('peak_megabytes', float('nan')):7.0f} MB memory a side"
        )
    return "\n".join(lines)


def parser():
    made = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    numbers = lambda text: [int(part) for part in text.split(",") if part]  # noqa: E731
    made.add_argument("--sizes", type=numbers, default=[1 << 16, 1 << 20])
    made.add_argument("--openmined", type=numbers, default=[1 << 16])
    made.add_argument("--spu", type=numbers, default=[])
    made.add_argument("--reveal-to", type=lambda text: text.split(","), default=["both", "left"])
    made.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 16))
    made.add_argument("--kernel", action="store_true")
    made.add_argument("--json", type=Path)
    for name in ("--party", "--folder", "--session"):
        made.add_argument(name, help=argparse.SUPPRESS)
    made.add_argument("--ports", type=numbers, help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    main()
