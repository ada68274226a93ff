"""Rates of the native ring products, beside NumPy: `python benchmarks/kernels_product.py [--isa avx512] [--threads 1]`.

A line is one shape; the unit is 10^9 multiply-adds of 64-bit words per second (GMAC/s). For shapes that read more
than they compute the column GB/s (operands and result, each counted once) is the one to compare with the memory.
One thread is timed by its own processor time, so that neighbours on the machine disturb little; more by the wall clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tacit import _native

U64 = np.uint64


@dataclass(frozen=True)
class Case:
    name: str
    work: float  # multiply-adds of one call
    words: float  # operands and result
    native: Callable[[], None]
    numpy: Callable[[], object] | None  # None where it would take seconds


def random_words(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 2**64, size=shape, dtype=U64)


def seconds(call: Callable[[], object], budget: float, clock: Callable[[], float]) -> float:
    """The best of several runs of at least a millisecond each."""
    call()
    repeat, best, stop = 1, float("inf"), time.perf_counter() + budget
    while time.perf_counter() < stop or best == float("inf"):
        start = clock()
        for _ in range(repeat):
            call()
        took = clock() - start
        if took < 1e-3:
            repeat *= 4
        else:
            best = min(best, took / repeat)
    return best


def matmul_case(
    rng: np.random.Generator, m: int, k: int, n: int, *, batch: int = 0, left: bool = False, right: bool = False
) -> Case:
    """left, right: the operand is a transposed view."""
    head = (batch,) if batch else ()
    a = random_words(rng, *head, k, m).swapaxes(-1, -2) if left else random_words(rng, *head, m, k)
    b = random_words(rng, *head, n, k).swapaxes(-1, -2) if right else random_words(rng, *head, k, n)
    out = np.empty((*head, m, n), U64)
    name = f"{f'{batch} x ' if batch else ''}{m}x{k}{'(T)' if left else ''} @ {k}x{n}{'(T)' if right else ''}"
    work = float(max(batch, 1)) * m * k * n
    return Case(
        name,
        work,
        a.size + b.size + out.size,
        lambda: _native.matmul(a, b, out),
        (lambda: np.matmul(a, b)) if work < 2e8 else None,
    )


def matmul_cases(rng: np.random.Generator) -> list[Case]:
    plain = [
        *[(s, s, s) for s in (8, 16, 32, 64, 128, 256, 512, 1024, 2048)],
        (64, 31, 1),
        (64, 784, 128),
        (128, 784, 128),
        (64, 128, 128),
        (64, 128, 10),
        (1024, 100, 1),
        (100_000, 100, 10),
        (100_000, 100, 1),
        (1, 784, 128),
        (1, 4096, 4096),
        (4096, 4096, 1),
        (1024, 1, 1024),
        (1, 1_000_000, 1),
    ]
    turned = [
        (31, 64, 1, True, False),
        (100, 1024, 1, True, False),
        (784, 64, 128, True, False),
        (784, 128, 128, True, False),
        (64, 128, 784, False, True),
        (128, 64, 10, True, False),
        (1, 4096, 4096, False, True),
        (512, 512, 512, True, True),
    ]
    return [
        *[matmul_case(rng, m, k, n) for m, k, n in plain],
        *[matmul_case(rng, m, k, n, left=left, right=right) for m, k, n, left, right in turned],
        matmul_case(rng, 64, 64, 64, batch=32),
        matmul_case(rng, 8, 8, 8, batch=1024),
    ]


def conv_cases(rng: np.random.Generator) -> list[Case]:
    cases = []
    shapes = [
        # batch, height, width, channels, kernel, outputs, stride, pad
        (1, 56, 56, 64, 3, 64, 1, 1),
        (8, 56, 56, 64, 3, 64, 1, 1),
        (8, 56, 56, 64, 3, 128, 2, 1),
        (16, 14, 14, 256, 3, 256, 1, 1),
        (128, 28, 28, 1, 5, 6, 1, 2),
        (128, 14, 14, 6, 5, 16, 1, 0),
        (8, 56, 56, 64, 1, 256, 1, 0),
    ]
    for n, h, w, c, size, o, stride, pad in shapes:
        oh, ow = ((side + 2 * pad - size) // stride + 1 for side in (h, w))
        x, kernel = random_words(rng, n, h, w, c), random_words(rng, size, size, c, o)
        g, dx, dk = random_words(rng, n, oh, ow, o), np.empty_like(x), np.empty_like(kernel)
        y = np.empty_like(g)
        geometry = (stride, stride, pad, pad, pad, pad, 1, 1, 1)
        work, words = float(g.size) * kernel.size / o, x.size + kernel.size + g.size
        name = f"{n}x{h}x{w}x{c} {size}x{size}->{o} /{stride}"
        for what, call in (
            ("conv", lambda x=x, k=kernel, y=y, p=geometry: _native.conv2d(x, k, y, *p)),
            ("d input", lambda g=g, k=kernel, d=dx, p=geometry: _native.conv2d_input_grad(g, k, d, *p)),
            ("d kernel", lambda x=x, g=g, d=dk, p=geometry: _native.conv2d_kernel_grad(x, g, d, *p)),
        ):
            cases.append(Case(f"{what} {name}", work, words, call, None))
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isa", default=_native.best_isa(), choices=["portable", "avx2", "avx512"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.3, help="time spent on each cell")
    parser.add_argument("--only", default="", help="shapes whose name contains this")
    parser.add_argument("--no-numpy", action="store_true")
    options = parser.parse_args()
    _native.set_isa(options.isa)
    _native.set_threads(options.threads)
    rng = np.random.default_rng(1)
    clock = time.thread_time if options.threads == 1 else time.perf_counter
    print(f"instruction set {options.isa}, {options.threads} thread(s)")
    print(f"{'shape':<40}{'us':>12}{'GMAC/s':>10}{'GB/s':>9}{'NumPy GMAC/s':>15}")
    for case in (*matmul_cases(rng), *conv_cases(rng)):
        if options.only not in case.name:
            continue
        took = seconds(case.native, options.seconds, clock)
        beside = ""
        if case.numpy is not None and not options.no_numpy:
            beside = f"{case.work / seconds(case.numpy, options.seconds, clock) / 1e9:15.2f}"
        print(
            f"{case.name:<40}{took * 1e6:12.2f}{case.work / took / 1e9:10.2f}{8 * case.words / took / 1e9:9.1f}{beside}",
            flush=True,
        )


if __name__ == "__main__":
    main()
