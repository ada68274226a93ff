"""One party of an intersection as a process of its own, over TLS; `test_psi_jobs` starts and kills it."""

import json
import sys
import time
from pathlib import Path

from tacit.algorithm.psi import Options, Source, align, job, party
from tacit.primitive.driver import Driver
from tacit.primitive.psi import stream
from tacit.resource.channel import connect_all
from tacit.resource.identity import Identity, TrustStore


def main():
    given = json.loads(sys.argv[1])
    for module in (stream, job, party):  # small batches, so that there are many
        module.BATCH = given["batch"]
    job.CHECKPOINT_STEPS = 2
    done = job.TokenFiles.done
    resumed = []

    def slow(self, steps):
        resumed.append(steps)
        done(self, steps)
        time.sleep(given["pause"])

    job.TokenFiles.done = slow
    base, me = Path(given["folder"]), given["me"]
    addresses = {name: ("127.0.0.1", port) for name, port in given["ports"].items()}
    channels = connect_all(
        me,
        addresses,
        Identity.load(base / me),
        TrustStore.load(base / "trust"),
        session=bytes.fromhex(given["session"]),
    )
    (peer,) = channels
    options = Options(how=given["how"], reveal_to=given["reveal_to"])
    driver = Driver(me, channels, deadline=30.0)
    source = Source(str(base / f"{me}.csv"), ("id",))
    alignment = driver.run(align(driver, peer, source, me, options, work=base / f"{me}.work"))
    sys.stdout.write(
        json.dumps({"rows": None if alignment.rows is None else alignment.rows.tolist(), "steps": resumed[:1]})
    )


if __name__ == "__main__":
    main()
