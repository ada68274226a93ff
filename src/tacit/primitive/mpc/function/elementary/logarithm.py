"""Logarithms: the window's logarithm, which is a step function, plus a series on the normalised number."""

from __future__ import annotations

from functools import cache
from math import log as ln

import numpy as np

from tacit.primitive.mpc.function.arithmetic import add
from tacit.primitive.mpc.function.contract import Domain, absolute, contract
from tacit.primitive.mpc.function.elementary.normal import OCTAVES, normalise, windows
from tacit.primitive.mpc.function.elementary.series import elementwise, evaluate, ring
from tacit.primitive.mpc.function.elementary.table import LOG, Series
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Fixed, Value

SOURCE = "Fourier extension of log m on a normalised number; ours"
_TOP = 60

POSITIVE = Domain(
    "0 < x < 2**(60 - bits)",
    lambda bits: ((2.0**-bits, 2.0 ** (60 - bits)),),
    "the logarithm of half an ulp for x <= 0",
)


@contract(domain=POSITIVE, error=absolute(2**-15, 2), source=SOURCE)
@elementwise
async def log(k: Kernel, x: Fixed) -> Fixed:
    """The natural logarithm; for x <= 0 that of half an ulp.

    Reveals: nothing. Costs: 7 rounds (8 above 1024 elements); 21 powers of two on one opening, one product, 14 dealt terms.
    Error: 2**-15 + 2 ulps.
    """
    return await _logarithm(k, x, 1.0)


@contract(domain=POSITIVE, error=absolute(2**-15, 2), source=SOURCE)
@elementwise
async def log2(k: Kernel, x: Fixed) -> Fixed:
    """The logarithm to base 2; for x <= 0 that of half an ulp.

    Reveals: nothing. Costs: those of `log`. Error: 2**-15 + 2 ulps.
    """
    return await _logarithm(k, x, 1 / ln(2))


@contract(domain=POSITIVE, error=absolute(2**-15, 2), source=SOURCE)
@elementwise
async def log10(k: Kernel, x: Fixed) -> Fixed:
    """The logarithm to base 10; for x <= 0 that of half an ulp.

    Reveals: nothing. Costs: those of `log`. Error: 2**-15 + 2 ulps.
    """
    return await _logarithm(k, x, 1 / ln(10))


@contract(
    domain=Domain(
        "-1 < x < 2**(60 - bits)", lambda bits: ((2.0**-bits - 1, 2.0 ** (60 - bits)),), "log of half an ulp"
    ),
    error=absolute(2**-15, 2),
    source=SOURCE,
)
async def log1p(k: Kernel, x: Value) -> Fixed:
    """log(1 + x).

    Reveals: nothing. Costs: those of `log`. Error: 2**-15 + 2 ulps, absolute: not relative to a small x.
    """
    return await log(k, await add(k, x, np.ones(())))


async def _logarithm(k: Kernel, x: Fixed, factor: float) -> Fixed:
    return await logarithm(k, x, factor, x.bits)


async def logarithm(k: Kernel, x: Fixed, factor: float, out: int, *, low: int = 0, top: int = _TOP) -> Fixed:
    """Factor * log x with `out` fraction bits, for x in [2**low, 2**top) ring units."""
    span = windows(low, top)
    octaves = [low - 1, *[low + OCTAVES * w for w in range(span.count)], low + OCTAVES * span.count]
    levels = [ring((o - x.bits) * ln(2) * factor, out) for o in octaves]
    found = await normalise(k, x.share, span)
    share = await evaluate(k, found.mantissa, _scaled(factor), span.bits, out)
    return Fixed(k.add(share, found.curve(k, levels)), out)


@cache
def _scaled(factor: float) -> Series:
    return LOG.scaled(factor)
