"""A user's program that computes on Ray for a long time: run by the tests, to be interrupted or killed.

Usage: ray_script.py STATE. Prints the parties' process numbers once the computation has begun.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jax
import numpy as np

import tacit


def long(x):
    return jax.lax.fori_loop(0, 400_000, lambda _, y: y * x, x)


if __name__ == "__main__":
    with tacit.Session.ray("alice", "bob", "carol", deadline=60.0, state=Path(sys.argv[1])) as session:
        mpc = session.mpc()
        x = mpc.share(session.plain("alice").put(np.ones(16)))
        print(*[process.pid for process in session._processes.values()], flush=True)  # noqa: T201  what the test reads
        session.run(mpc(long)(x))
