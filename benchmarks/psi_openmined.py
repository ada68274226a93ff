"""Both sides of OpenMined PSI in two processes, CSV in and CSV out; run by `benchmarks.psi` in an environment of its own."""

import csv
import json
import multiprocessing
import sys
import time
from pathlib import Path

import private_set_intersection.python as psi


def keys(path):
    with path.open() as lines:
        rows = csv.reader(lines)
        next(rows)
        return [row[0] for row in rows]


def serve(pipe, path):
    pipe.recv_bytes()
    began = time.process_time()
    server = psi.server.CreateWithNewKey(True)
    items = keys(path)
    count = int.from_bytes(pipe.recv_bytes(), "little")
    setup = server.CreateSetupMessage(1e-12, count, items, psi.DataStructure.RAW).SerializeToString()
    pipe.send_bytes(setup)
    request = psi.Request()
    request.ParseFromString(pipe.recv_bytes())
    pipe.send_bytes(server.ProcessRequest(request).SerializeToString())
    pipe.send_bytes(json.dumps(time.process_time() - began).encode())


def main():
    base = Path(sys.argv[1])
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there, base / "right.csv"))
    process.start()
    began, processor = time.time(), time.process_time()
    here.send_bytes(b"go")
    client = psi.client.CreateWithNewKey(True)
    items = keys(base / "left.csv")
    here.send_bytes(len(items).to_bytes(8, "little"))
    request = client.CreateRequest(items).SerializeToString()
    setup = psi.ServerSetup()
    first = here.recv_bytes()
    here.send_bytes(request)
    setup.ParseFromString(first)
    answer = here.recv_bytes()
    response = psi.Response()
    response.ParseFromString(answer)
    found = client.GetIntersection(setup, response)
    with (base / "left.out.csv").open("w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["id"])
        rows.writerows([items[at]] for at in found)
    seconds = time.time() - began
    processor = time.process_time() - processor + json.loads(here.recv_bytes())
    process.join()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "processor_seconds": processor,
                "megabytes": (len(first) + len(request) + len(answer)) / 1e6,
            }
        )
    )


if __name__ == "__main__":
    main()
