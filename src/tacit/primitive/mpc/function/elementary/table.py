"""The fitted series, as constants: see `fit.py` for how they were found and the tests for their errors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from math import pi
from typing import final

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.mpc.separable import TrigonometricSeries, turn_of

Reals = NDArray[np.float64]


@final
@dataclass(frozen=True)
class Series:
    """constant + slope x + sum_k cosines[k] cos(h_k t) + sines[k] sin(h_k t), t = 2 pi x / period, h_k = 1 + stride k.

    It stands for its function on [low, high] to within `error` (absolute; relative for powers).
    """

    low: float
    high: float
    period: float
    stride: int
    slope: float
    constant: float
    cosines: tuple[float, ...]
    sines: tuple[float, ...]
    error: float

    def __call__(self, x: Reals) -> Reals:
        """The series at real numbers."""
        harmonics = 1 + self.stride * np.arange(len(self.cosines))
        angles = np.multiply.outer(np.asarray(x), harmonics * (2 * pi / self.period))
        waves = np.cos(angles) @ np.array(self.cosines) + np.sin(angles) @ np.array(self.sines)
        return np.asarray(waves + self.constant + self.slope * np.asarray(x))

    def scaled(self, factor: float) -> Series:
        """The series times a factor."""
        return replace(
            self,
            slope=self.slope * factor,
            constant=self.constant * factor,
            cosines=tuple(c * factor for c in self.cosines),
            sines=tuple(s * factor for s in self.sines),
            error=self.error * abs(factor),
        )


@cache
def separable(series: Series, bits: int, out: int) -> TrigonometricSeries:
    """The series without its constant, for ring elements of `bits` fraction bits; results have `out`."""
    grid = np.linspace(series.low, series.high, 2001)
    return TrigonometricSeries(
        turn=turn_of(series.period * 2.0**bits),
        cosines=series.cosines,
        sines=series.sines,
        stride=series.stride,
        bits=out,
        peak=1.01 * float(np.max(np.abs(series(grid) - series.constant))),
        slope=series.slope / 2.0**bits,
    )


SIGMOID = Series(
    low=-9.15,
    high=9.15,
    period=35.136,
    stride=2,
    slope=0.0,
    constant=0.0,
    cosines=(0.0,) * 8,
    sines=(
        0.6043667501945619,
        0.13728111159335415,
        0.04329393313129082,
        0.013997150778575678,
        0.004578108022465953,
        0.001459614815676636,
        0.0005059010694700914,
        0.00015426436486189687,
    ),
    error=6.47e-05,  # 2**-13.92
)

TANH = Series(
    low=-5.0,
    high=5.0,
    period=19.12,
    stride=2,
    slope=0.0,
    constant=0.0,
    cosines=(0.0,) * 9,
    sines=(
        1.2184385319929443,
        0.2925832708803464,
        0.10010152441141175,
        0.03545042086293819,
        0.012634661251604215,
        0.004487227258214274,
        0.0016073033781288139,
        0.000565417677335318,
        0.0002356649723665868,
    ),
    error=8.21e-05,  # 2**-13.57
)

ERF = Series(
    low=-2.9,
    high=2.9,
    period=11.5304,
    stride=2,
    slope=0.0,
    constant=0.0,
    cosines=(0.0,) * 5,
    sines=(1.1821487161144832, 0.21757961002711257, 0.03981002155618596, 0.004782523804442315, 0.00035021570044801894),
    error=1.28e-05,  # 2**-16.25
)

GELU = Series(
    low=-4.3,
    high=4.3,
    period=16.3744,
    stride=2,
    slope=0.5,
    constant=2.046683216695146,
    cosines=(
        -1.7681166091600264,
        -0.2210127068618011,
        -0.049281203446830894,
        -0.007566859116537639,
        -0.0006602588045016256,
    ),
    sines=(0.0,) * 5,
    error=4.59e-05,  # 2**-14.41
)

GELU_TANH = Series(
    low=-4.3,
    high=4.3,
    period=16.1336,
    stride=2,
    slope=0.5,
    constant=2.0165927634822127,
    cosines=(
        -1.7449367273787793,
        -0.21737878749040726,
        -0.04682958847442796,
        -0.006773771833312165,
        -0.0006138567861073733,
    ),
    sines=(0.0,) * 5,
    error=6.05e-05,  # 2**-14.01
)

SILU = Series(
    low=-11.2,
    high=11.2,
    period=39.6032,
    stride=2,
    slope=0.5,
    constant=4.949714039453467,
    cosines=(
        -4.164091804228234,
        -0.5206736631455737,
        -0.16824747250299485,
        -0.06112180677248047,
        -0.02241420272388456,
        -0.008340586331971149,
        -0.0030125844938970357,
        -0.001177442176180212,
        -0.00044521863005186083,
    ),
    sines=(0.0,) * 9,
    error=0.000191,  # 2**-12.36
)

SOFTPLUS = Series(
    low=-9.2,
    high=9.2,
    period=33.782399999999996,
    stride=2,
    slope=0.5,
    constant=4.223038248343171,
    cosines=(
        -3.235886941719966,
        -0.23809531081180016,
        -0.043242359247681376,
        -0.009547344876792289,
        -0.0023242472651607555,
        -0.0005792330399166318,
        -0.00017274357483021012,
    ),
    sines=(0.0,) * 7,
    error=4.32e-05,  # 2**-14.50
)

LOG = Series(
    low=0.984375,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=-6.518073611297404,
    cosines=(
        -5.829426758221189,
        7.249048524106667,
        4.524240484303538,
        -0.6425199574366637,
        -0.7394809406676739,
        -0.03854315078688553,
        0.015152265241309013,
    ),
    sines=(
        12.920147879921318,
        6.391835509522262,
        -2.8350286985471254,
        -2.215930953723975,
        0.010460566647475255,
        0.15360119680829035,
        0.008258653714314912,
    ),
    error=1.48e-05,  # 2**-16.04
)

RECIPROCAL = Series(
    low=0.984375,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=69.66732501374051,
    cosines=(
        40.113601746357936,
        -79.0034986604647,
        -51.20619007198603,
        10.921543613479091,
        14.817606466852942,
        1.3291514842045016,
        -1.11085533958983,
        -0.16716016000525255,
        0.008197150591319199,
    ),
    sines=(
        -120.81437430863538,
        -58.07186767289931,
        37.29340584011371,
        32.16003618273677,
        -0.4439830991611227,
        -4.923017286966702,
        -0.6881650098968808,
        0.14860842399900406,
        0.017542655130445065,
    ),
    error=1.07e-05,  # 2**-16.51
)

SQRT = Series(
    low=0.984375,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=0.8592746182015897,
    cosines=(
        -1.8151660047073563,
        0.7404021282865162,
        0.6111681417985747,
        -0.028564151547228588,
        -0.055357710127123955,
        -0.0020610606859015816,
    ),
    sines=(
        1.6920449517447296,
        1.1654478401950057,
        -0.2208584586734198,
        -0.22968383331124723,
        -0.005261649039058664,
        0.006548595318521191,
    ),
    error=7.09e-06,  # 2**-17.11
)

RSQRT = Series(
    low=0.984375,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=6.9324741777927805,
    cosines=(
        4.180729982733066,
        -6.140258898708121,
        -3.828491275093861,
        0.4904416876222839,
        0.6332460067024139,
        0.044267649220613194,
        -0.012122450758221728,
    ),
    sines=(
        -10.678901316668657,
        -5.186393842981715,
        2.3754983343918656,
        1.9031627965604514,
        0.02692322943995252,
        -0.12879356675526413,
        -0.008580604943097224,
    ),
    error=2.54e-05,  # 2**-15.26
)

CBRT = Series(
    low=0.984375,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=0.5403887292834972,
    cosines=(
        -1.2289377496527782,
        0.7430020666942657,
        0.5249244985286794,
        -0.03576779537101549,
        -0.05016497653806938,
        -0.0018175827738655316,
    ),
    sines=(
        1.5924781185654777,
        0.9320666112617598,
        -0.2348101405114114,
        -0.2044497927840816,
        -0.003312527801036391,
        0.0059685723639699905,
    ),
    error=8.19e-06,  # 2**-16.90
)

ARC = Series(
    low=0,
    high=1,
    period=2.6,
    stride=1,
    slope=0.0,
    constant=1.5066474617586265,
    cosines=(0.09360765767299366, -0.027466720864862865, -0.0031459860594334013, 0.0011504179266786623),
    sines=(-0.06806685322267629, -0.02249265014292846, 0.008102510113576704, 3.936697741691166e-05),
    error=3.5e-06,  # 2**-18.12
)

ATAN = Series(
    low=-1,
    high=1,
    period=7.4,
    stride=2,
    slope=0.0,
    constant=0.0,
    cosines=(0.0,) * 5,
    sines=(
        1.038847348041285,
        0.02741728261579924,
        0.011562811565394147,
        -0.0006063835489134548,
        0.00034123075449758505,
    ),
    error=4.04e-07,  # 2**-21.24
)
