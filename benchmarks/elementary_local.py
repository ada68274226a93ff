"""Elementary functions in one process: all three parties of `Assisted` in one thread, over memory channels.

Usage: python benchmarks/elementary_local.py [elements] [name ...]

Prints per function: nanoseconds per element of all three parties together, rounds, bytes per element sent by the leader, the
follower and the helper, and the largest error. Inputs are shared and not open yet, as after a product.
"""

from __future__ import annotations

import math
import sys
import time

import numpy as np

from tacit.primitive.driver import Driver, run_together
from tacit.primitive.local import decode, encode
from tacit.primitive.mpc.assisted.session import open_session
from tacit.primitive.mpc.function.elementary import ELEMENTARY
from tacit.primitive.mpc.value import Fixed
from tacit.resource.channel import MemoryChannel

NAMES = ("leader", "follower", "helper")
BITS = 18
REPEATS = 5

erf = np.vectorize(math.erf, otypes=[np.float64])


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def cases(n):
    """name: (exact, inputs)."""
    rng = np.random.default_rng(7)
    normal = rng.normal(size=n) * 4
    positive = 2.0 ** rng.uniform(-8, 8, n)
    return {
        "sigmoid": (lambda x: 0.5 + np.tanh(x / 2) / 2, normal),
        "tanh": (np.tanh, normal),
        "erf": (erf, normal),
        "gelu": (lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), normal),
        "silu": (lambda x: x * (0.5 + np.tanh(x / 2) / 2), normal),
        "softplus": (lambda x: np.logaddexp(0, x), normal),
        "exp": (np.exp, normal.clip(-20, 10)),
        "log": (np.log, positive),
        "reciprocal": (lambda x: 1 / x, positive * np.sign(normal)),
        "divide": (np.divide, normal, positive * np.sign(normal)),
        "sqrt": (np.sqrt, positive),
        "rsqrt": (lambda x: x**-0.5, positive),
        "cbrt": (np.cbrt, normal),
        "sin": (np.sin, normal),
        "tan": (np.tan, normal.clip(-1.5, 1.5)),
        "acos": (np.arccos, np.tanh(normal)),
        "atan": (np.arctan, normal),
        "atan2": (np.arctan2, normal, normal[::-1]),
        "sinh": (np.sinh, normal.clip(-10, 10)),
        "asinh": (np.arcsinh, normal),
        "power": (np.power, positive, normal.clip(-2, 2)),
        "softmax": (softmax, normal[: n // 100 * 100].reshape(-1, 100) if n >= 100 else normal.reshape(1, -1)),
    }


def measure(name, exact, inputs):
    """One row: nanoseconds, rounds, bytes by party, error."""
    inputs = [encode(x, BITS) for x in inputs]
    mesh = MemoryChannel.mesh(NAMES)
    drivers = [Driver(me, mesh[me]) for me in NAMES]
    kernels = run_together(*[(d, open_session(d, NAMES)) for d in drivers])

    async def load(k):
        own = k.context.me == NAMES[2]
        return [Fixed(await k.share(NAMES[2], x.shape, x if own else None), BITS) for x in inputs]

    async def call(k, xs):
        # A sum of shares anew in every repeat, so that nothing is open yet.
        fresh = [Fixed(k.linear(np.copy, x.share), BITS) for x in xs]
        return await ELEMENTARY[name](k, *fresh)

    async def show(k, z):
        return await k.reveal(z.share, NAMES)

    handles = run_together(*[(d, load(k)) for d, k in zip(drivers, kernels, strict=True)])
    best = math.inf
    for _ in range(REPEATS):
        before = [(d.profile.rounds, d.profile.payload) for d in drivers]
        began = time.perf_counter()
        results = run_together(*[(d, call(k, h)) for d, k, h in zip(drivers, kernels, handles, strict=True)])
        best = min(best, time.perf_counter() - began)
        rounds = drivers[0].profile.rounds - before[0][0]
        sent = [d.profile.payload - b[1] for d, b in zip(drivers, before, strict=True)]
    found = decode(run_together(*[(d, show(k, z)) for d, k, z in zip(drivers, kernels, results, strict=True)])[0], BITS)
    error = np.max(np.abs(found - exact(*[decode(x, BITS) for x in inputs])))
    return best, rounds, sent, error


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    wanted = sys.argv[2:]
    print(f"{'function':12} {'ns/element':>10} {'rounds':>6} {'bytes/element':>16} {'max error':>10}   n = {n}")
    for name, (exact, *inputs) in cases(n).items():
        if wanted and name not in wanted:
            continue
        seconds, rounds, sent, error = measure(name, exact, inputs)
        size = inputs[0].size
        traffic = " ".join(f"{b / size:.0f}" for b in sent)
        print(f"{name:12} {seconds / size * 1e9:10.0f} {rounds:6} {traffic:>16} {error:10.2e}", flush=True)


if __name__ == "__main__":
    main()
