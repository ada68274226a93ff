"""Parties and lanes on a cluster of several nodes, one of which is lost: run by the tests, because Ray is one per process.

Usage: ray_nodes.py STATE. Prints what was revealed, the error's kind, message and seconds, and which processes are left.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

os.environ.update(RAY_USAGE_STATS_ENABLED="0", RAY_AUTH_MODE="disabled")

import jax.numpy as jnp
import numpy as np
import ray
from processes import alive
from ray.cluster_utils import Cluster

import tacit
from tacit.foundation.errors import TacitError

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [cluster.add_node(num_cpus=2) for _ in range(3)]
    try:
        with tacit.Session.ray(
            "alice", "bob", "carol", address=cluster.address, strategy="STRICT_SPREAD", state=Path(sys.argv[1])
        ) as session:
            lanes = session.lanes(session.mpc(), 2)
            parts = lanes.share(session.plain("alice").put(np.arange(10.0)))
            total = tacit.reveal(lanes.sum(jnp.sum, parts), to="bob", because="the sum")
            pids = [process.pid for process in session._processes.values()]
            used = len({row["NodeID"] for row in ray.nodes() if row["Resources"].get("CPU")})
            cluster.remove_node(nodes[1], allow_graceful=False)
            began = time.monotonic()
            try:
                while time.monotonic() < began + 60:
                    session.profile()
                    time.sleep(0.1)
            except TacitError as error:
                told = [type(error).__name__, str(error), time.monotonic() - began]
        left = [pid for pid in pids if alive(pid)]
        sys.stdout.write(json.dumps({"total": float(total), "nodes": used, "error": told, "left": left}) + "\n")
    finally:
        ray.shutdown()
        cluster.shutdown()
