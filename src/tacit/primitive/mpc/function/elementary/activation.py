"""Smooth steps and ramps: sigmoid, tanh, erf, GELU, SiLU, softplus.

A step is a quarter-wave sine series that saturates to constants; a ramp is x / 2 plus an even series that turns into 0 or x
itself, so that large inputs pass unchanged.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tacit.primitive.mpc.function.arithmetic import add, sub
from tacit.primitive.mpc.function.contract import Domain, absolute, contract
from tacit.primitive.mpc.function.elementary.opening import offset
from tacit.primitive.mpc.function.elementary.series import elementwise, ramp, ring, saturating
from tacit.primitive.mpc.function.elementary.table import ERF, GELU, GELU_TANH, SIGMOID, SILU, SOFTPLUS, TANH
from tacit.primitive.mpc.function.operand import Number
from tacit.primitive.mpc.kernel import Kernel
from tacit.primitive.mpc.value import Fixed, Value

SOURCE = "Fourier extension: Boyd, J. Comput. Phys. 178 (2002) 118; the split over a masked opening is ours"
ANYWHERE = Domain(
    "|x| < 2**(61 - bits)",
    lambda bits: ((-(2.0 ** (61 - bits)), 2.0 ** (61 - bits)),),
)
LOGISTIC = replace(SIGMOID, constant=0.5)


@contract(domain=ANYWHERE, error=absolute(2**-13, 2), source=SOURCE)
@elementwise
async def sigmoid(k: Kernel, x: Fixed) -> Fixed:
    """1 / (1 + exp(-x)); 0 below -9.15 and 1 above 9.15.

    Reveals: nothing. Costs: 4 rounds; one opening, two comparisons, 16 dealt terms. Error: 2**-13 + 2 ulps.
    """
    return await saturating(k, x, LOGISTIC, 0.0, 1.0)


@contract(domain=ANYWHERE, error=absolute(2**-13, 2), source=SOURCE)
@elementwise
async def tanh(k: Kernel, x: Fixed) -> Fixed:
    """The hyperbolic tangent; -1 below -5 and 1 above 5.

    Reveals: nothing. Costs: 4 rounds; one opening, two comparisons, 18 dealt terms. Error: 2**-13 + 2 ulps.
    """
    return await saturating(k, x, TANH, -1.0, 1.0)


@contract(domain=ANYWHERE, error=absolute(2**-14, 2), source=SOURCE)
@elementwise
async def erf(k: Kernel, x: Fixed) -> Fixed:
    """The error function; -1 below -2.9 and 1 above 2.9.

    Reveals: nothing. Costs: 4 rounds; one opening, two comparisons, 10 dealt terms. Error: 2**-14 + 2 ulps.
    """
    return await saturating(k, x, ERF, -1.0, 1.0)


@contract(domain=ANYWHERE, error=absolute(2**-14, 2), source=SOURCE)
async def erfc(k: Kernel, x: Value) -> Fixed:
    """1 - erf(x).

    Reveals: nothing. Costs: those of `erf`. Error: 2**-14 + 2 ulps, absolute.
    """
    value = await erf(k, x)
    return Fixed(offset(k, k.linear(np.negative, value.share), ring(1.0, value.bits)), value.bits)


@contract(domain=ANYWHERE, error=absolute(2**-13, 2), source=SOURCE)
@elementwise
async def gelu(k: Kernel, x: Fixed, *, approximate: bool = True) -> Fixed:
    """X Phi(x), or with `approximate` the form with tanh (as in jax.nn.gelu); 0 below -4.3 and x above 4.3.

    Reveals: nothing. Costs: 4 rounds; one opening, two comparisons, 12 dealt terms. Error: 2**-13 + 2 ulps.
    """
    return await ramp(k, x, GELU_TANH if approximate else GELU)


@contract(domain=ANYWHERE, error=absolute(2**-12, 2), source=SOURCE)
@elementwise
async def silu(k: Kernel, x: Fixed) -> Fixed:
    """X / (1 + exp(-x)); 0 below -11.2 and x above 11.2.

    Reveals: nothing. Costs: 4 rounds; one opening, two comparisons, 20 dealt terms. Error: 2**-12 + 2 ulps.
    """
    return await ramp(k, x, SILU)


@contract(domain=ANYWHERE, error=absolute(2**-13, 2), source=SOURCE)
@elementwise
async def softplus(k: Kernel, x: Fixed) -> Fixed:
    """log(1 + exp(x)); 0 below -9.2 and x above 9.2.

    Reveals: nothing. Costs: 4 rounds; one opening, two comparisons, 16 dealt terms. Error: 2**-13 + 2 ulps.
    """
    return await ramp(k, x, SOFTPLUS)


@contract(domain=Domain("|x|, |y|, |x - y| < 2**(61 - bits)"), error=absolute(2**-13, 2), source=SOURCE)
async def logaddexp(k: Kernel, x: Value, y: Value) -> Number:
    """log(exp(x) + exp(y)), as y + softplus(x - y).

    Reveals: nothing. Costs: those of `softplus`. Error: 2**-13 + 2 ulps.
    """
    return await add(k, y, await softplus(k, await sub(k, x, y)))
