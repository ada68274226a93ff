"""Gigabytes per second of the AES-128 keystream and of the ring kernels, beside OpenSSL and NumPy.

    python benchmarks/kernels_aes.py [--bytes 64 4096 16384 1048576] [--isa avx512] [--threads 1] [--json FILE]

A figure is the median over repeats of one call, Python's call included. Bytes of a ring kernel are those of all its
operands; bytes of the keystream are its own.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tacit import _native as native
from tacit.primitive.keystream import OpenSslKeystream
from tacit.primitive.prg import Prg

KEY = bytes(range(16))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bytes", type=int, nargs="+", default=[64, 1024, 4096, 16384, 1 << 20, 1 << 24])
    parser.add_argument("--isa", nargs="+", default=[native.best_isa()])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.15, help="time spent on each figure")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    native.set_threads(options.threads)
    rows = []
    print(f"{'kernel':<22}{'isa':<10}{'threads':>7}{'elements':>12}{'us':>12}{'GB/s':>9}{'Gelem/s':>9}")
    for isa in options.isa:
        native.set_isa(isa)
        for size in options.bytes:
            n = max(size // 8, 1)
            for name, words, call in [*keystreams(n), *ring_kernels(n)]:
                seconds = median_seconds(call, options.seconds)
                rows.append({"kernel": name, "isa": isa, "threads": options.threads, "elements": n, "seconds": seconds})
                rates = f"{8 * words / seconds / 1e9:>9.2f}{n / seconds / 1e9:>9.3f}"
                print(f"{name:<22}{isa:<10}{options.threads:>7}{n:>12}{seconds * 1e6:>12.2f}{rates}")
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows))


def keystreams(n: int) -> Iterator[tuple[str, int, Callable[[], object]]]:
    """Name, words moved, call."""
    out, prg = np.zeros(n, np.uint64), Prg(KEY)
    if native.has_aes():
        aes = native.Aes128(KEY)
        yield "aes expand", n, lambda: aes.expand(1, 0, out)
        yield "aes add_into", n, lambda: aes.add_into(1, 0, out)
        yield "aes xor_into", n, lambda: aes.xor_into(1, 0, out)
    openssl = OpenSslKeystream(KEY)
    yield "openssl expand", n, lambda: openssl.expand(1, 0, out)
    yield "prg fill", n, lambda: prg.fill(prg.last_stream + 1, out)
    yield "prg words", n, lambda: prg.words(prg.last_stream + 1, n)
    yield "prg uniform_below 10", n, lambda: prg.uniform_below(prg.last_stream + 1, 10, n)
    yield "prg permutation", n, lambda: prg.permutation(prg.last_stream + 1, n)


def ring_kernels(n: int) -> Iterator[tuple[str, int, Callable[[], object]]]:
    prg = Prg(KEY)

    def fresh(*shape: int) -> np.ndarray:
        return prg.words(prg.last_stream + 1, shape)

    a, b, c, d, e, out, out2 = (fresh(n) for _ in range(7))
    bits = fresh(-(-n // 64))
    reals, decoded = fresh(n).view(np.int64) / 2.0**40, np.zeros(n)
    yield "numpy add", 3 * n, lambda: np.add(a, b, out=out)
    yield "add", 3 * n, lambda: native.add(a, b, out)
    yield "mul", 3 * n, lambda: native.mul(a, b, out)
    yield "axpy", 3 * n, lambda: native.axpy(3, a, out)
    yield "product_close", 6 * n, lambda: native.product_close(a, b, c, d, e, 1, out)
    yield "truncate_close", 5 * n, lambda: native.truncate_close(a, b, c, d, 18, 1, out)
    yield "truncate_deal", 5 * n, lambda: native.truncate_deal(a, b, c, 18, out, out2)
    yield "select_close", 5 * n, lambda: native.select_close(bits, a, b, c, d, 1, out)
    yield "select_deal", 5 * n, lambda: native.select_deal(bits, a, b, c, out, out2)
    yield "bit_to_ring_close", 2 * n, lambda: native.bit_to_ring_close(bits, a, 1, out)
    yield "encode", 2 * n, lambda: native.encode(reals, 18, out)
    yield "decode", 2 * n, lambda: native.decode(a, 18, decoded)


def median_seconds(call: Callable[[], object], budget: float) -> float:
    """Median seconds of one call, over batches long enough for the clock."""
    call()
    start = time.perf_counter()
    call()
    batch = max(1, int(1e-3 / max(time.perf_counter() - start, 1e-7)))
    figures = []
    end = time.perf_counter() + budget
    while time.perf_counter() < end or len(figures) < 3:
        start = time.perf_counter()
        for _ in range(batch):
            call()
        figures.append((time.perf_counter() - start) / batch)
    return statistics.median(figures)


if __name__ == "__main__":
    main()
