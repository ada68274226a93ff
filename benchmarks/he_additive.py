"""Additively homomorphic operations per second on one core, ours beside python-paillier, in the same run.

    python benchmarks/he_additive.py [--bits 2048 3072] [--count 1024] [--seconds 1.0] [--json FILE]

Both run on one thread, on the same plaintexts; python-paillier (phe) uses gmpy2. A figure is the best of repeats of one
call on `count` elements (of a loop over `--peer-count` for phe, which has no arrays), by processor time, so that other
processes do not count. Encoding and decoding of numbers is part of encryption and decryption on both sides. phe's sums
do not randomise and neither do ours; what leaves costs one encryption more on both.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tacit import _native as native
from tacit.primitive.he import (
    CiphertextArray,
    Decryptions,
    Packing,
    decrypt,
    dump,
    encrypt,
    feature_wise_bucket_sum,
    generate_elgamal,
    generate_okamoto_uchiyama,
    generate_paillier,
    load,
)
from tacit.primitive.he.encoding import Encoding

TARGETS = {"encrypt": 3690, "decrypt": 2205, "add": 820_000, "multiply": 20_000}  # per second, Paillier-2048
FEATURES, BUCKETS, COLUMNS = 8, 16, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bits", type=int, nargs="+", default=[2048, 3072])
    parser.add_argument("--count", type=int, default=1024)
    parser.add_argument("--peer-count", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=1.0, help="time spent on each figure")
    parser.add_argument("--isa", default=native.best_isa())
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    native.set_isa(options.isa)
    native.set_threads(1)
    rng = np.random.default_rng(7)
    values = rng.normal(size=options.count) * 100
    factors = rng.normal(size=options.count) * 2**14
    rows: list[dict[str, object]] = []

    def report(
        system: str, bits: int, peers: dict[str, float], operations: Iterator[tuple[str, int, Callable[[], object]]]
    ) -> None:
        for name, count, call in operations:
            rate = count / best_seconds(call, options.seconds)
            row = {"system": system, "bits": bits, "operation": name, "per_second": rate, "peer": peers.get(name)}
            row["target"] = TARGETS.get(name) if (system, bits) == ("paillier", 2048) else None
            rows.append(row)
            peer = f"{peers[name]:>12,.0f}{rate / peers[name]:>9.1f}x" if name in peers else " " * 22
            target = f"{row['target']:>12,}" if row["target"] else ""
            print(f"{system:<18}{bits:>6} {name:<28}{rate:>14,.0f}{peer}{target}", flush=True)

    print(f"isa {options.isa}, one thread, {options.count} elements")
    print(f"{'system':<18}{'bits':>6} {'operation':<28}{'ours/s':>14}{'phe/s':>12}{'ratio':>10}{'target/s':>12}")
    for bits in options.bits:
        peers = python_paillier(bits, values[: options.peer_count], factors[: options.peer_count], options.seconds)
        key = generate_paillier(bits)
        report("paillier", bits, peers, ours(key, values, factors))
        report("paillier", bits, peers, aggregates(key, values))
    for bits in options.bits:
        key = generate_okamoto_uchiyama(bits, decryptions=Decryptions.STAY_HIDDEN)
        report("okamoto-uchiyama", bits, {}, ours(key, values, factors))
    report("ec-elgamal", 256, {}, curve(rng.integers(-1000, 1000, 64)))
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows))


def ours(key, values: np.ndarray, factors: np.ndarray) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """Name, operations per call, call."""
    n = len(values)
    a, b = encrypt(key.public, values), encrypt(key.public, values[::-1])
    assert np.allclose(decrypt(key, a * factors), values * factors, atol=1.0)
    yield "encrypt", n, lambda: encrypt(key.public, values)
    yield "decrypt", n, lambda: decrypt(key, a)
    yield "add", n, lambda: a + b
    yield "add a float", n, lambda: a + values
    yield "subtract", n, lambda: a - b
    yield "multiply", n, lambda: a * factors
    yield "sum", n, a.sum


def aggregates(key, values: np.ndarray) -> Iterator[tuple[str, int, Callable[[], object]]]:
    n = len(values)
    a = encrypt(key.public, values)
    packed = encrypt(key.public, np.stack([values, values], 1), packing=Packing(2, 128))
    rng = np.random.default_rng(8)
    buckets = rng.integers(0, BUCKETS, (n, FEATURES))
    matrix = a.reshape(-1, 64)
    right = rng.normal(size=(64, COLUMNS))
    header, octets = dump(a)
    yield f"matmul terms, {COLUMNS} columns", n * COLUMNS, lambda: matrix @ right
    yield "bucket sum terms", n * FEATURES, lambda: feature_wise_bucket_sum(a, buckets, BUCKETS)
    yield "  of packed pairs", 2 * n * FEATURES, lambda: feature_wise_bucket_sum(packed, buckets, BUCKETS)
    yield "encrypt numbers, 16 packed", n, lambda: packed_sixteen(key, values)
    yield "dump", n, lambda: dump(a)
    yield "load", n, lambda: load(header, octets, key.public)


def packed_sixteen(key, values: np.ndarray) -> CiphertextArray:
    return encrypt(key.public, values.reshape(-1, 16), packing=Packing(16, 120))


def curve(values: np.ndarray) -> Iterator[tuple[str, int, Callable[[], object]]]:
    key = generate_elgamal(range_bits=24)
    n, encoding = len(values), Encoding(0, 2000.0)
    a = encrypt(key.public, values, encoding=encoding)
    assert np.array_equal(decrypt(key, a), values)
    yield "encrypt", n, lambda: encrypt(key.public, values, encoding=encoding)
    yield "decrypt", n, lambda: decrypt(key, a)
    yield "add", n, lambda: a + a
    yield "multiply", n, lambda: a * values


def python_paillier(bits: int, values: np.ndarray, factors: np.ndarray, seconds: float) -> dict[str, float]:
    """phe's operations per second; empty, and said so, where it is not installed."""
    try:
        from phe import paillier
        from phe.util import HAVE_GMP
    except ImportError:
        print("phe is not installed: run pip install phe gmpy2 for the comparison")
        return {}
    assert HAVE_GMP, "phe runs without gmpy2: the comparison would flatter us"
    public, private = paillier.generate_paillier_keypair(n_length=bits)
    plain, scalars = [float(v) for v in values], [float(v) for v in factors]
    # One exponent for all, as fixed point has it: phe would otherwise spend its additions on aligning exponents.
    a = [public.encrypt(v, precision=2.0**-24) for v in plain]
    b = a[::-1]
    n = len(plain)
    calls: dict[str, Callable[[], object]] = {
        "encrypt": lambda: [public.encrypt(v, precision=2.0**-24) for v in plain],
        "decrypt": lambda: [private.decrypt(c) for c in a],
        "add": lambda: [x + y for x, y in zip(a, b, strict=True)],
        "add a float": lambda: [x + y for x, y in zip(a, plain, strict=True)],
        "subtract": lambda: [x - y for x, y in zip(a, b, strict=True)],
        "multiply": lambda: [x * y for x, y in zip(a, scalars, strict=True)],
        "sum": lambda: sum(a[1:], a[0]),
    }
    return {name: n / best_seconds(call, seconds) for name, call in calls.items()}


def best_seconds(call: Callable[[], object], budget: float) -> float:
    """The least processor time of one call among those that fit the budget; at least three, after one to warm up."""
    call()
    figures: list[float] = []
    end = time.perf_counter() + budget
    while time.perf_counter() < end or len(figures) < 3:
        start = time.process_time()
        call()
        figures.append(time.process_time() - start)
    return min(figures)


if __name__ == "__main__":
    main()
