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
    low=1,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=-6.240837403794944,
    cosines=(
        -5.7175998103861145,
        6.915552459467468,
        4.386933597969708,
        -0.5792657316660209,
        -0.7077738627920318,
        -0.04025831051042893,
        0.014203180002143968,
    ),
    sines=(
        12.43097231440381,
        6.230865799755092,
        -2.6635123178456244,
        -2.1360309033207074,
        -0.004564145451693658,
        0.14570455751899253,
        0.008242470568069045,
    ),
    error=1.37e-05,  # 2**-16.16
)

RECIPROCAL = Series(
    low=1,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=65.98613333751204,
    cosines=(
        38.42143205812109,
        -74.3252309037322,
        -48.77342623465365,
        9.876459593350743,
        13.968947902536582,
        1.3444149650541979,
        -1.0274993111187474,
        -0.1601415271010279,
        0.00717984299377207,
    ),
    sines=(
        -114.22998829285223,
        -55.49505366184677,
        34.71372514425807,
        30.49651972201897,
        -0.17631628848304867,
        -4.604657050483709,
        -0.6701629828397533,
        0.1350396121043799,
        0.016599330912954017,
    ),
    error=9.69e-06,  # 2**-16.66
)

SQRT = Series(
    low=1,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=0.8890989905302068,
    cosines=(
        -1.8042400361439297,
        0.7060455522722445,
        0.599286520693463,
        -0.022994178973520234,
        -0.053465421669870825,
        -0.00216091319556197,
    ),
    sines=(
        1.639969088982947,
        1.15037137702775,
        -0.2042158436739876,
        -0.22364097086395263,
        -0.006394303059039566,
        0.006262283490077182,
    ),
    error=6.64e-06,  # 2**-17.20
)

RSQRT = Series(
    low=1,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=6.684149193288759,
    cosines=(
        4.071278814951345,
        -5.848340444374297,
        -3.696122893170504,
        0.44056091903546685,
        0.60375236593276,
        0.04479730100600419,
        -0.011302967408967649,
    ),
    sines=(
        -10.243097723990113,
        -5.0297086670014535,
        2.23058426065904,
        1.8272558145245446,
        0.03701333331693096,
        -0.1216665302885331,
        -0.008425565964231115,
    ),
    error=2.34e-05,  # 2**-15.38
)

CBRT = Series(
    low=1,
    high=8,
    period=16.0,
    stride=1,
    slope=0.0,
    constant=0.5685333123947806,
    cosines=(
        -1.2182588907304919,
        0.7108152089635125,
        0.5133636039414953,
        -0.030704932734865832,
        -0.048343061315044455,
        -0.0018972145637700492,
    ),
    sines=(
        1.5434198015869556,
        0.9173551501936862,
        -0.2193853684782763,
        -0.1985954045044957,
        -0.004303844564538408,
        0.005695346111694649,
    ),
    error=7.65e-06,  # 2**-17.00
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
