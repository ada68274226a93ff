"""CKKS: real numbers in degree / 2 slots, approximately; every array knows by how much.

Source: Cheon, Kim, Kim and Song, "Homomorphic encryption for arithmetic of approximate numbers", 2017.
Scales: all ciphertexts of one level have one scale, fixed by the parameters: 2**scale_bits at the top, and below each level
the square of the scale above, divided by the prime that was dropped. Plaintext factors are encoded at their partner's
scale. So scales meet exactly, and nothing is approximated silently by the library.

Errors add up as the docstrings of the plans have them; all terms are slot bounds of `noise`, divided by the scale:

    x + y   e_x + e_y
    x y     |x| e_y + |y| e_x + e_x e_y + switch / scale**2 + rounding / scale'
    w x     |w| e_x + d (|x| + e_x) + rounding / scale', where d = N / (2 scale) + |w| FLOATING is the encoding's error
    rotate  e_x + switch / scale
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tacit.foundation.errors import CiphertextOverflow, CiphertextRefused, InputError, LevelsExhausted
from tacit.primitive.he.packed.arithmetic import Arithmetic
from tacit.primitive.he.packed.engine import Ciphertext, Engine, Plaintext, Ring
from tacit.primitive.he.packed.library import seal
from tacit.primitive.he.packed.parameters import CkksParameters


@final
@dataclass(frozen=True)
class CkksBounds:
    """Of all slots: products left, the largest magnitude of what was meant, and the absolute error it may have."""

    level: int
    magnitude: float
    error: float


@final
class CkksArithmetic(Arithmetic[CkksBounds]):
    """float64 numbers. Raises: LevelsExhausted, CiphertextOverflow, InputError."""

    dtype: ClassVar[type[np.float64 | np.int64]] = np.float64

    def __init__(self, ring: Ring, engine: Engine) -> None:
        assert isinstance(ring.parameters, CkksParameters)
        self.ring, self.engine = ring, engine
        self._encoder = seal().CKKSEncoder(ring.context)
        scale, scales = 2.0**ring.parameters.scale_bits, []
        for level in reversed(ring.levels):
            scales.append(scale)
            scale = scale * scale / level.primes[-1]
        self._scales = scales[::-1]
        self._switches = [ring.noise.switch(level.primes) for level in ring.levels]
        self._limits = [
            math.prod(level.primes) / (2 * scale) for level, scale in zip(ring.levels, self._scales, strict=True)
        ]
        self._floating = ring.parameters.degree * 2.0**-50  # of SEAL's transforms in float64, relative

    # Plans ------------------------------------------------------------------------------------------------------------

    @override
    def fresh(self, magnitude: float) -> CkksBounds:
        top = self.ring.top
        scale = self._scales[top]
        error = self._encoding(magnitude, top) + self.ring.noise.fresh(self.ring.noise.last) / scale
        return self._fitting(CkksBounds(top, magnitude, error))

    @override
    def sum(self, a: CkksBounds, b: CkksBounds) -> CkksBounds:
        level = min(a.level, b.level)
        a, b = self.lowered_bounds(a, level), self.lowered_bounds(b, level)
        return self._fitting(CkksBounds(level, a.magnitude + b.magnitude, a.error + b.error))

    @override
    def shifted(self, a: CkksBounds, magnitude: float) -> CkksBounds:
        error = a.error + self._encoding(magnitude, a.level)
        return self._fitting(CkksBounds(a.level, a.magnitude + magnitude, error))

    @override
    def product(self, a: CkksBounds, b: CkksBounds) -> CkksBounds:
        level = self._multiplying(min(a.level, b.level))
        a, b = self.lowered_bounds(a, level), self.lowered_bounds(b, level)
        error = a.magnitude * b.error + b.magnitude * a.error + a.error * b.error
        error += self._switches[level] / self._scales[level] ** 2 + self._rounding(level - 1)
        return self._fitting(CkksBounds(level - 1, a.magnitude * b.magnitude, error))

    @override
    def combination(
        self,
        a: CkksBounds,
        *,
        norm: float,
        largest: float,
        terms: int = 1,
        before: int = 0,
        after: int = 0,
        scalar: bool = False,
    ) -> CkksBounds:
        level = self._multiplying(a.level)
        self._fitting(CkksBounds(level, largest, 0.0))  # a factor has to fit its plaintext
        switch, scale = self._switches[level], self._scales[level]
        error = a.error + before * switch / scale
        wrong = 0.5 / scale + largest * 2.0**-50 if scalar else self._encoding(largest, level)
        error = norm * error + terms * wrong * (a.magnitude + error) + after * switch / scale**2
        return self._fitting(CkksBounds(level - 1, norm * a.magnitude, error + self._rounding(level - 1)))

    @override
    def folded(self, a: CkksBounds, *, numbers: int, copies: int, doublings: int, windows: int = 0) -> CkksBounds:
        switch = self._switches[a.level] / self._scales[a.level]
        error = 2**doublings * copies * a.error + (2**doublings - 1) * switch
        return self._fitting(CkksBounds(a.level, max(numbers, windows) * a.magnitude, error))

    @override
    def rotated(self, a: CkksBounds, times: int) -> CkksBounds:
        return self._fitting(replace(a, error=a.error + times * self._switches[a.level] / self._scales[a.level]))

    @override
    def randomised(self, a: CkksBounds) -> CkksBounds:
        above = self.ring.levels[a.level + 1].primes[-1] if a.level < self.ring.top else self.ring.noise.last
        return self._fitting(replace(a, error=a.error + self.ring.noise.fresh(above) / self._scales[a.level]))

    def lowered_bounds(self, a: CkksBounds, level: int) -> CkksBounds:
        """After multiplication by a one that brings it to a lower level's scale, and the rounding that follows."""
        if a.level == level:
            return a
        error = a.error + (a.magnitude + a.error) * 0.5 / self._one(a.level, level) + self._rounding(level)
        return self._fitting(CkksBounds(level, a.magnitude, error))

    @override
    def level(self, a: CkksBounds) -> int:
        return a.level

    @override
    def products_left(self, a: CkksBounds) -> int:
        return a.level

    @override
    def deepest(self, degree: int) -> int:
        return degree.bit_length()

    @override
    def magnitude(self, a: CkksBounds) -> float:
        return a.magnitude

    @override
    def error(self, a: CkksBounds) -> float:
        """Decoding included."""
        return a.error + (a.magnitude + a.error) * self._floating

    @override
    def to_facts(self, a: CkksBounds) -> dict[str, Any]:
        magnitude, error = _up(a.magnitude), _up(a.error)
        if magnitude + error >= self._limits[a.level]:
            magnitude, error = a.magnitude, a.error
        return {"level": a.level, "magnitude": magnitude, "error": error}

    @override
    def from_facts(self, facts: dict[str, Any]) -> CkksBounds:
        level: Any = facts.get("level")
        magnitude: Any = facts.get("magnitude")
        error: Any = facts.get("error")
        if set(facts) != {"level", "magnitude", "error"} or type(level) is not int or not 0 <= level <= self.ring.top:
            raise CiphertextRefused(f"the bounds must be a level from 0 to {self.ring.top}, a magnitude and an error")
        if not (_positive(magnitude) and _positive(error)):
            raise CiphertextRefused("the magnitude and the error must be finite numbers above 0, as floats")
        try:
            return self._fitting(CkksBounds(level, magnitude, error))
        except CiphertextOverflow as refused:
            raise CiphertextRefused(str(refused)) from None

    # Ciphertexts ------------------------------------------------------------------------------------------------------

    @override
    def numbers(self, values: Any, what: str) -> NDArray[Any]:
        try:
            array = np.asarray(values)
        except ValueError:
            array = np.empty(0, object)
        if array.dtype.kind not in "fiub":
            raise InputError(f"{what} must be real numbers, not {array.dtype}")
        out = array.astype(np.float64)
        if not np.isfinite(out).all():
            raise InputError(f"{what} must be finite: only numbers can be encrypted or computed with")
        return out

    @override
    def encode(self, slots: NDArray[Any], level: int) -> Plaintext:
        out = seal().Plaintext()
        self._encoder.encode(slots.tolist(), list(self.ring.levels[level].parms_id), self._scales[level], out)
        return out

    @override
    def encode_scalar(self, value: float, level: int) -> Plaintext:
        return self._constant(value, level, self._scales[level])

    @override
    def decode(self, plain: Plaintext) -> NDArray[Any]:
        return np.array(self._encoder.decode_double(plain))

    @override
    def zero(self, level: int) -> Ciphertext:
        return self.engine.zero(level, self._scales[level])

    @override
    def lowered(self, cell: Ciphertext, a: CkksBounds, to: CkksBounds) -> Ciphertext:
        if a.level == to.level:
            return cell
        above = to.level + 1
        if a.level > above:
            cell = self.engine.lower(cell, above)
        cell = self.engine.multiply_plain(cell, self._constant(1.0, above, self._one(a.level, to.level)))
        self.finished(cell, above)
        return cell

    @override
    def finished(self, cell: Ciphertext, level: int) -> None:
        self.engine.rescale(cell)
        cell.scale = self._scales[level - 1]

    @override
    def require(self, cell: Ciphertext, secret: Any) -> None:
        """Nothing to see: noise that outgrew its bounds looks like numbers. The plans prevent it."""

    def scale(self, level: int) -> float:
        """Of all ciphertexts of a level."""
        return self._scales[level]

    # Terms ------------------------------------------------------------------------------------------------------------

    def _constant(self, value: float, level: int, scale: float) -> Plaintext:
        out = seal().Plaintext()
        self._encoder.encode(float(value), list(self.ring.levels[level].parms_id), scale, out)
        return out

    def _one(self, level: int, to: int) -> float:
        """The scale of the 1 that takes a ciphertext of `level` to the scale of a lower one."""
        return self._scales[to] * self.ring.levels[to + 1].primes[-1] / self._scales[level]

    def _encoding(self, magnitude: float, level: int) -> float:
        return self.ring.noise.worst_rounding / self._scales[level] + magnitude * self._floating

    def _rounding(self, level: int) -> float:
        return self.ring.noise.rounding / self._scales[level]

    def _multiplying(self, level: int) -> int:
        if level < 1:
            raise LevelsExhausted(
                f"a product takes a level, and none of the {self.ring.top} is left. Generate a key with more levels, or "
                "have the key holder decrypt and encrypt again.",
                needed=1,
                left=0,
            )
        return level

    def _fitting(self, a: CkksBounds) -> CkksBounds:
        limit = self._limits[a.level]
        if not a.magnitude + a.error < limit:
            reached = a.magnitude + a.error
            raise CiphertextOverflow(
                f"magnitudes could reach {reached:.3g}, and ciphertexts with {a.level} levels left hold {limit:.3g}. Scale "
                "the numbers down, declare a smaller magnitude when encrypting, or take parameters with more range_bits.",
                bound=math.ceil(reached) if math.isfinite(reached) else 1 << 1024,
                limit=math.floor(limit),
            )
        return a


def _up(value: float) -> float:
    """The next power of two: what travels tells little of the numbers that were computed with."""
    return float(2.0 ** math.ceil(math.log2(value))) if value > 0 else 2.0**-1000


def _positive(value: Any) -> bool:
    return type(value) is float and 0 < value < math.inf
