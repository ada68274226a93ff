"""A user's program that computes for a long time: run by the tests, to be interrupted or killed.

Usage: script.py STATE [thread]. Prints the party's process numbers once the computation has begun.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np

import tacit


def long(x):
    return jax.lax.fori_loop(0, 400_000, lambda _, y: y * x, x)


def work(state: Path) -> None:
    with tacit.Session.local("alice", "bob", "carol", deadline=60.0, state=state) as session:
        mpc = session.mpc()
        x = mpc.share(session.plain("alice").put(np.ones(16)))
        print(*[process.pid for process in session._processes.values()], flush=True)  # noqa: T201  what the test reads
        session.run(mpc(long)(x))


if __name__ == "__main__":
    if "thread" in sys.argv:
        threading.Thread(target=work, args=(Path(sys.argv[1]),), daemon=True).start()
        time.sleep(3600)
    else:
        work(Path(sys.argv[1]))
