"""Both sides of SecretFlow SPU's PSI in two processes, CSV in and CSV out; run by `benchmarks.psi` in SPU's environment."""

import json
import multiprocessing
import resource
import sys
import time
from pathlib import Path

from spu import libspu, psi


def side(rank, base, protocol, ports, both, results):
    link = libspu.link
    described = link.Desc()
    described.recv_timeout_ms = 600_000
    for name, port in enumerate(ports):
        described.add_party(str(name), f"127.0.0.1:{port}")
    channel = link.create_brpc(described, rank)
    name = ("left", "right")[rank]
    config = psi.PsiExecuteConfig(
        psi.PsiProtocolConfig(
            getattr(psi.PsiProtocol, f"PROTOCOL_{protocol}"),
            receiver_rank=0,
            broadcast_result=both,
            ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
        ),
        psi.InputParams(path=str(base / f"{name}.csv"), selected_keys=["id"], keys_unique=True),
        psi.OutputParams(path=str(base / f"{name}.out.csv")),
    )
    begin, processor = time.time(), time.process_time()
    report = psi.psi_execute(config, channel)
    results.put(
        {
            "begin": begin,
            "end": time.time(),
            "processor": time.process_time() - processor,
            "found": report.intersection_count,
            "peak": 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        }
    )
    channel.stop_link()


def main():
    base, protocol, both = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "both"
    ports = [int(port) for port in sys.argv[4].split(",")]
    results = multiprocessing.Queue()
    sides = [multiprocessing.Process(target=side, args=(rank, base, protocol, ports, both, results)) for rank in (0, 1)]
    for process in sides:
        process.start()
    found = [results.get() for _ in sides]
    for process in sides:
        process.join()
    result = {
        "seconds": max(one["end"] for one in found) - min(one["begin"] for one in found),
        "processor_seconds": sum(one["processor"] for one in found),
        "peak_megabytes": max(one["peak"] for one in found) / 1e6,
        "found": max(one["found"] for one in found),
    }
    print("\n" + json.dumps(result))


if __name__ == "__main__":
    main()
