"""Nanoseconds per element of the bit kernels and of one 63-bit comparison, by instruction set and batch size.

    python benchmarks/kernels_bits.py [--elements 65 16384 1048576] [--isa avx512] [--threads 1] [--json FILE]

A figure is the median over repeats of one call; the call's own overhead is the figure of one element.
"""

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tacit import _native as native

BITS = 63
LEVELS = (16, 4)  # pairs of the two tree levels of 63 bits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elements", type=int, nargs="+", default=[1, 1000, 16384, 1 << 20])
    parser.add_argument("--isa", nargs="+", default=[native.best_isa()])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.15, help="time spent on each figure")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    native.set_threads(options.threads)
    rows = []
    for isa in options.isa:
        native.set_isa(isa)
        for n in options.elements:
            for name, call in kernels(n):
                seconds = median_seconds(call, options.seconds)
                rows.append({"kernel": name, "isa": isa, "threads": options.threads, "elements": n, "seconds": seconds})
    report(rows)
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows))


def kernels(n: int) -> Iterator[tuple[str, Callable[[], object]]]:
    words = -(-n // 64)

    def fresh(*shape: int) -> np.ndarray:
        return np.frombuffer(bytearray(os.urandom(8 * math.prod(shape))), np.uint64).reshape(shape)

    x, y, z, planes = fresh(n), fresh(n), fresh(n), fresh(64, words)
    flags, packed = (x & np.uint64(1)).astype(np.uint8), fresh(words)
    order = np.argsort(x).astype(np.int64)
    yield "pack", lambda: native.pack(flags, packed)
    yield "unpack", lambda: native.unpack(packed, flags)
    yield "to_planes 64", lambda: native.to_planes(x, planes)
    yield "to_planes 63", lambda: native.to_planes(x, planes[:63])
    yield "to_planes 1", lambda: native.to_planes(x, planes[:1], 63)
    yield "from_planes 64", lambda: native.from_planes(planes, y)
    yield "from_planes 1", lambda: native.from_planes(planes[:1], y)
    if n >= 64:
        blocks, turned = fresh(n // 64, 64), fresh(n // 64, 64)
        yield "transpose64", lambda: native.transpose64(blocks, turned)
    yield "bit_xor (word)", lambda: native.bit_xor(x, y, z)
    yield "popcount (word)", lambda: native.popcount(x)
    yield "gather", lambda: native.gather(x, order, y)
    yield "permute", lambda: native.permute(x, order, y)
    lanes = [fresh(words) for _ in range(6)]
    yield "replicated_and (bit)", lambda: native.replicated_and(*lanes)
    yield "masked_and_close (bit)", lambda: native.masked_and_close(*lanes[:5], True, lanes[5])
    yield from comparison(planes[:BITS], fresh, words)


def comparison(
    c: np.ndarray, fresh: Callable[..., np.ndarray], words: int
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Kernels of one party, and of the dealer, for one 63-bit comparison."""
    r, hot = fresh(BITS, words), fresh(native.digit_planes(BITS), words)
    pairs = [(fresh(count, words), fresh(count, words)) for count in (*LEVELS, 1)]
    plans = [native.tree_plan(count) for count in LEVELS]
    lams, opened = ([fresh(plan[0], words) for plan in plans] for _ in range(2))
    products = [fresh(plan[1], words) for plan in plans]

    def party() -> None:
        native.digits_close(c, hot, True, *pairs[0])
        for level in range(len(LEVELS)):
            native.tree_open(*pairs[level], lams[level], opened[level])
            native.tree_close(opened[level], lams[level], products[level], *pairs[level], True, *pairs[level + 1])

    def dealer() -> None:
        native.digits_deal(r, hot, accumulate=True)
        for level, count in enumerate(LEVELS):
            native.tree_deal(lams[level], count, products[level], accumulate=True)

    yield "digits_close", lambda: native.digits_close(c, hot, True, *pairs[0])
    yield "tree_open 16", lambda: native.tree_open(*pairs[0], lams[0], opened[0])
    yield (
        "tree_close 16",
        lambda: native.tree_close(opened[0], lams[0], products[0], *pairs[0], True, *pairs[1]),
    )
    yield "digits_deal", lambda: native.digits_deal(r, hot)
    yield "tree_deal 16", lambda: native.tree_deal(lams[0], LEVELS[0], products[0])
    yield "compare: party", party
    yield "compare: dealer (accumulate)", dealer


def median_seconds(call: Callable[[], object], budget: float) -> float:
    call()
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    inner = max(1, int(2e-4 / once))
    samples = []
    stop = time.perf_counter() + budget
    while time.perf_counter() < stop or len(samples) < 5:
        start = time.perf_counter()
        for _ in range(inner):
            call()
        samples.append((time.perf_counter() - start) / inner)
    return statistics.median(samples)


def report(rows: list[dict[str, object]]) -> None:
    """Nanoseconds per element; per call in the column of one element."""
    columns = sorted({(str(row["isa"]), int(str(row["elements"]))) for row in rows})
    names = dict.fromkeys(str(row["kernel"]) for row in rows)
    cells = {(row["kernel"], row["isa"], row["elements"]): float(str(row["seconds"])) for row in rows}
    sys.stdout.write(f"{'ns per element':30}" + "".join(f"{f'{isa} n={n}':>18}" for isa, n in columns) + "\n")
    for name in names:
        line = f"{name:30}"
        for isa, n in columns:
            seconds = cells.get((name, isa, n))
            line += f"{'-':>18}" if seconds is None else f"{seconds / n * 1e9:18.3f}"
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
