"""BFV: integers modulo a prime t in degree slots, exactly. What could leave (-t / 2, t / 2) is refused, never wrapped.

Source: Fan and Vercauteren, "Somewhat practical fully homomorphic encryption", 2012; Bajard et al., 2016 (as in SEAL).
Noise: t / q times the decryption of a ciphertext is m + v + t k with integers m, k; it decrypts as long as |v| < 1 / 2.
All terms are slot bounds of `noise`, in a ring of degree N, modulo q:

    fresh   t / q (fresh + N / 2)            the last term rounds q m / t
    x + y   v_x + v_y;    x + plain          v_x + t / q N / 2
    x y     T (v_x + v_y) + 3 v_x v_y + t / q (switch + product), T = 2 t rounding: m + t k in the operands
    w x     N t / 2 v_x for packed w, |w| v_x for one number
    rotate  v_x + t / q switch
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


@final
@dataclass(frozen=True)
class BfvBounds:
    """Of all slots: the largest magnitude; and a bound of the noise, which must stay below 1 / 2."""

    magnitude: int
    noise: float


@final
class BfvArithmetic(Arithmetic[BfvBounds]):
    """int64 numbers. Raises: LevelsExhausted, CiphertextOverflow, InputError."""

    dtype: ClassVar[type[np.float64 | np.int64]] = np.int64

    def __init__(self, ring: Ring, engine: Engine) -> None:
        self.ring, self.engine = ring, engine
        self.modulus = ring.plain_modulus
        self.limit = (self.modulus - 1) // 2
        self._encoder = seal().BatchEncoder(ring.context)
        primes, noise = ring.levels[ring.top].primes, ring.noise
        unit = self.modulus / math.prod(primes)
        self._fresh = unit * (noise.fresh(noise.last) + noise.worst_rounding)
        self._shift = unit * noise.worst_rounding
        self._switch = unit * noise.switch(primes)
        self._operand = 2 * self.modulus * noise.rounding
        rest = (len(primes) + 1) * ring.parameters.degree * (1 + noise.secret + noise.secret**2)
        self._product = self._switch + unit * rest
        self._factor = ring.parameters.degree * self.modulus / 2

    # Plans ------------------------------------------------------------------------------------------------------------

    @override
    def fresh(self, magnitude: float) -> BfvBounds:
        return self._fitting(BfvBounds(math.ceil(magnitude), self._fresh))

    @override
    def sum(self, a: BfvBounds, b: BfvBounds) -> BfvBounds:
        return self._fitting(BfvBounds(a.magnitude + b.magnitude, a.noise + b.noise))

    @override
    def shifted(self, a: BfvBounds, magnitude: float) -> BfvBounds:
        return self._fitting(BfvBounds(a.magnitude + math.ceil(magnitude), a.noise + self._shift))

    @override
    def product(self, a: BfvBounds, b: BfvBounds) -> BfvBounds:
        noise = self._operand * (a.noise + b.noise) + 3 * a.noise * b.noise + self._product
        return self._fitting(BfvBounds(a.magnitude * b.magnitude, noise))

    @override
    def combination(
        self,
        a: BfvBounds,
        *,
        norm: float,
        largest: float,
        terms: int = 1,
        before: int = 0,
        after: int = 0,
        scalar: bool = False,
    ) -> BfvBounds:
        if largest > self.limit:
            raise CiphertextOverflow(
                f"a factor has the magnitude {int(largest)}, and the plaintext modulus leaves room for {self.limit}. Take "
                "parameters with more plain_bits.",
                bound=int(largest),
                limit=self.limit,
            )
        factor = max(1.0, float(largest)) if scalar else terms * self._factor
        noise = factor * (a.noise + before * self._switch) + after * self._switch
        return self._fitting(BfvBounds(a.magnitude * int(norm), noise))

    @override
    def folded(self, a: BfvBounds, *, numbers: int, copies: int, doublings: int, windows: int = 0) -> BfvBounds:
        noise = 2**doublings * copies * a.noise + (2**doublings - 1) * self._switch
        return self._fitting(BfvBounds(numbers * a.magnitude, noise))

    @override
    def rotated(self, a: BfvBounds, times: int) -> BfvBounds:
        return self._fitting(replace(a, noise=a.noise + times * self._switch))

    @override
    def randomised(self, a: BfvBounds) -> BfvBounds:
        return self._fitting(replace(a, noise=a.noise + self._fresh))

    @override
    def level(self, a: BfvBounds) -> int:
        return self.ring.top

    @override
    def products_left(self, a: BfvBounds) -> int:
        noise, count = a.noise, 0
        while (noise := self._operand * 2 * noise + 3 * noise**2 + self._product) < 0.5:
            count += 1
        return count

    @override
    def deepest(self, degree: int) -> int:
        return degree.bit_length() - 1

    @override
    def magnitude(self, a: BfvBounds) -> float:
        return a.magnitude

    @override
    def error(self, a: BfvBounds) -> float:
        return 0.0

    @override
    def to_facts(self, a: BfvBounds) -> dict[str, Any]:
        bound = min((1 << a.magnitude.bit_length()) - 1, self.limit)
        return {"magnitude": bound, "noise_bits": math.ceil(math.log2(a.noise) * 4) / 4}

    @override
    def from_facts(self, facts: dict[str, Any]) -> BfvBounds:
        magnitude: Any = facts.get("magnitude")
        bits: Any = facts.get("noise_bits")
        if set(facts) != {"magnitude", "noise_bits"} or type(magnitude) is not int or not 0 <= magnitude <= self.limit:
            raise CiphertextRefused(f"the bounds must be a magnitude from 0 to {self.limit}, and noise_bits")
        if type(bits) is not float or not -1000 <= bits <= -1:
            raise CiphertextRefused("noise_bits must be a float from -1000 to -1")
        return BfvBounds(magnitude, min(2.0**bits, math.nextafter(0.5, 0)))

    # Ciphertexts ------------------------------------------------------------------------------------------------------

    @override
    def numbers(self, values: Any, what: str) -> NDArray[Any]:
        try:
            array = np.asarray(values)
        except (ValueError, OverflowError):
            array = np.empty(0, object)
        if array.dtype.kind not in "iub":
            raise InputError(f"{what} must be integers of at most 64 bits, not {array.dtype}: BFV is exact")
        if array.size and (int(array.max()) > self.limit or int(array.min()) < -self.limit):
            reached = max(abs(int(array.max())), abs(int(array.min())))
            raise CiphertextOverflow(
                f"{what} reach a magnitude of {reached.bit_length()} bits, and the plaintext modulus leaves room for "
                f"{self.limit}. Take parameters with more plain_bits.",
                bound=reached,
                limit=self.limit,
            )
        return array.astype(np.int64)

    @override
    def encode(self, slots: NDArray[Any], level: int) -> Plaintext:
        out = seal().Plaintext()
        # As residues: the bindings try unsigned integers first, and would copy a list with a negative one twice.
        self._encoder.encode((slots % self.modulus).tolist(), out)
        return out

    @override
    def encode_scalar(self, value: float, level: int) -> Plaintext:
        return seal().Plaintext(f"{int(value) % self.modulus:X}")

    @override
    def decode(self, plain: Plaintext) -> NDArray[Any]:
        return np.array(self._encoder.decode_int64(plain), np.int64)

    @override
    def zero(self, level: int) -> Ciphertext:
        return self.engine.zero(level, 1.0)

    @override
    def lowered(self, cell: Ciphertext, a: BfvBounds, to: BfvBounds) -> Ciphertext:
        return cell

    @override
    def finished(self, cell: Ciphertext, level: int) -> None:
        """Nothing to do."""

    @override
    def require(self, cell: Ciphertext, secret: Any) -> None:
        if secret.invariant_noise_budget(cell) <= 0:
            raise LevelsExhausted(
                "a ciphertext has lost its content to noise, although its bounds said that it had not: whoever made it did "
                "not follow them. Nothing was decrypted.",
                needed=1,
                left=0,
            )

    def _fitting(self, a: BfvBounds) -> BfvBounds:
        if a.magnitude > self.limit:
            raise CiphertextOverflow(
                f"magnitudes could reach {a.magnitude}, and the plaintext modulus leaves room for {self.limit}. Declare a "
                "smaller magnitude when encrypting, or take parameters with more plain_bits.",
                bound=a.magnitude,
                limit=self.limit,
            )
        if not a.noise < 0.5:
            over = math.ceil(math.log2(a.noise)) + 1 if math.isfinite(a.noise) else 1 << 10
            raise LevelsExhausted(
                f"the noise could outgrow its budget by {over} bits, and nothing could be decrypted. Generate a key with "
                "more multiplications, or have the key holder decrypt and encrypt again.",
                needed=1,
                left=0,
            )
        return a
