"""Parameters of packed encryption, chosen for what is to be computed and refused below 128 bits of security.

Source: Albrecht et al., "Homomorphic Encryption Standard", 2018, table 1: ternary secret, 128 bits, classical attacks.
The later guidelines (Bossuat et al., 2024) allow the same moduli within two bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias, final

from tacit.foundation.errors import ConfigError
from tacit.primitive.he.packed.library import seal

# degree of the ring: the most bits that all primes of the modulus may have together
MODULUS_BITS = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}
PRIME_BITS = (20, 60)
SCALE_BITS = (25, 50)
PLAIN_BITS = (17, 50)


@final
@dataclass(frozen=True)
class CkksParameters:
    """Real numbers, approximately. `levels` is how many products may follow one another.

    scale_bits: a number x is held as round(x * 2**scale_bits), 25 to 50. Ten more bits are three more digits.
    range_bits: numbers may reach 2**(range_bits - 1) after the last product; more at the levels before.
    degree: of the ring; the smallest that is secure, unless given. An array takes degree / 2 numbers per ciphertext.

    With the defaults, up to 2 levels fit degree 8192, 8 fit 16384, and 19 fit 32768.
    Raises: ConfigError where these leave the standard's table or the library's limits.
    """

    levels: int = 2
    scale_bits: int = 40
    range_bits: int = 15
    degree: int = 0

    scheme: ClassVar[str] = "ckks"

    def __post_init__(self) -> None:
        _whole(levels=self.levels, scale_bits=self.scale_bits, range_bits=self.range_bits, degree=self.degree)
        if not 0 <= self.levels <= 30:
            raise ConfigError(f"levels must lie between 0 and 30, not at {self.levels}")
        _between("scale_bits", self.scale_bits, SCALE_BITS)
        _between("range_bits", self.range_bits, (2, PRIME_BITS[1] - self.scale_bits))
        least = 2 * (self.scale_bits + self.range_bits) + self.levels * self.scale_bits
        object.__setattr__(self, "degree", _degree(self.degree, least, f"{self.levels} levels"))

    @property
    def prime_bits(self) -> tuple[int, ...]:
        """The sizes of the primes: the last level's, one for each product, and the one that switches keys.

        The last divides the noise of rotations and products, so it takes what the others leave, up to 60 bits.
        """
        first, middle = self.scale_bits + self.range_bits, [self.scale_bits] * self.levels
        room = MODULUS_BITS[self.degree] - first - sum(middle)
        return (first, *middle, min(PRIME_BITS[1], room))

    @property
    def lanes(self) -> int:
        """How many rows of slots a ciphertext has."""
        return 1

    def facts(self) -> dict[str, Any]:
        """What JSON can say of it; `parameters_from` reads it."""
        return {
            "scheme": self.scheme,
            "degree": self.degree,
            "levels": self.levels,
            "scale_bits": self.scale_bits,
            "range_bits": self.range_bits,
        }


@final
@dataclass(frozen=True)
class BfvParameters:
    """Integers, exactly. `multiplications` is how many products may follow one another at least, and then a sum: with
    ciphertexts, with arrays of numbers, or with a matrix. A product with one number takes its bits only.

    plain_bits: the plaintext modulus is a prime of this size, 17 to 50; integers lie within about 2**(plain_bits - 1).
    degree: of the ring; the smallest that is secure and leaves room for the products, unless given. An array takes
    degree integers per ciphertext. The modulus is the largest that is secure in it.
    Raises: ConfigError where nothing secure has room for that.
    """

    multiplications: int = 1
    plain_bits: int = 20
    degree: int = 0

    scheme: ClassVar[str] = "bfv"

    def __post_init__(self) -> None:
        _whole(multiplications=self.multiplications, plain_bits=self.plain_bits, degree=self.degree)
        if not 0 <= self.multiplications <= 30:
            raise ConfigError(f"multiplications must lie between 0 and 30, not at {self.multiplications}")
        _between("plain_bits", self.plain_bits, PLAIN_BITS)
        if self.degree:
            _degree(self.degree, MODULUS_BITS.get(self.degree, 1), "these parameters")
            if self._room(self.degree) < 0:
                raise ConfigError(self._too_deep(f"degree {self.degree}"))
            return
        for degree in (4096, 8192, 16384, 32768):
            if self._room(degree) >= 0:
                object.__setattr__(self, "degree", degree)
                return
        raise ConfigError(self._too_deep("the largest degree, 32768,"))

    def _room(self, degree: int) -> float:
        """Bits of noise budget that remain after the products and a sum over all slots, near what `bfv` plans.

        A prime for batching must exist, too: it is 1 modulo 2 * degree.
        """
        if self.plain_bits < int(math.log2(degree)) + 3:
            return -1.0
        bits, ring = _bfv_prime_bits(degree), math.log2(degree)
        fresh = sum(bits[:-1]) - len(bits) - self.plain_bits - ring - 5
        return fresh - self.multiplications * (self.plain_bits + ring + 6.5) - ring

    def _too_deep(self, where: str) -> str:
        return (
            f"{where} has no room for {self.multiplications} products of {self.plain_bits}-bit integers in a row. Ask for "
            "fewer products or bits, or decrypt and encrypt again in between."
        )

    @property
    def prime_bits(self) -> tuple[int, ...]:
        """The sizes of the primes: all that the standard allows, the last of them the one that switches keys."""
        return _bfv_prime_bits(self.degree)

    @property
    def lanes(self) -> int:
        """How many rows of slots a ciphertext has."""
        return 2

    def facts(self) -> dict[str, Any]:
        """What JSON can say of it; `parameters_from` reads it."""
        return {
            "scheme": self.scheme,
            "degree": self.degree,
            "multiplications": self.multiplications,
            "plain_bits": self.plain_bits,
        }


Parameters: TypeAlias = CkksParameters | BfvParameters


def parameters_from(facts: Any) -> Parameters:
    """The parameters that facts() described. Raises: ConfigError where they are malformed or insecure."""
    kinds: dict[str, type[Parameters]] = {"ckks": CkksParameters, "bfv": BfvParameters}
    if not isinstance(facts, dict) or not isinstance(facts.get("scheme"), str) or facts["scheme"] not in kinds:
        raise ConfigError("the parameters name neither of the schemes ckks and bfv")
    kind = kinds[facts["scheme"]]
    names = {field.name for field in fields(kind)}
    if set(facts) != names | {"scheme"}:
        raise ConfigError(f"the parameters of {facts['scheme']} are {', '.join(sorted(names))}, and all must be given")
    if not facts["degree"]:
        raise ConfigError("the parameters name no degree")
    return kind(**{name: facts[name] for name in sorted(names)})


def seal_parameters(parameters: Parameters) -> Any:
    """SEAL's own object of these parameters. Its primes follow from their sizes."""
    library = seal()
    kind = library.SCHEME_TYPE.CKKS if parameters.scheme == "ckks" else library.SCHEME_TYPE.BFV
    inner = library.EncryptionParameters(kind)
    inner.set_poly_modulus_degree(parameters.degree)
    inner.set_coeff_modulus(library.CoeffModulus.Create(parameters.degree, list(parameters.prime_bits)))
    if isinstance(parameters, BfvParameters):
        inner.set_plain_modulus(library.PlainModulus.Batching(parameters.degree, parameters.plain_bits))
    return inner


def _degree(degree: int, bits: int, what: str) -> int:
    if degree == 0:
        fitting = [size for size, most in MODULUS_BITS.items() if bits <= most]
        if not fitting:
            raise ConfigError(
                f"{what} need a modulus of {bits} bits, and 128 bits of security allow {max(MODULUS_BITS.values())} at "
                "most. Ask for fewer levels or a smaller scale, or decrypt and encrypt again in between."
            )
        return fitting[0]
    if degree not in MODULUS_BITS:
        raise ConfigError(f"the degree must be one of {', '.join(map(str, MODULUS_BITS))}, not {degree}")
    if bits > MODULUS_BITS[degree]:
        raise ConfigError(
            f"a modulus of {bits} bits in degree {degree} has less than 128 bits of security: the standard allows "
            f"{MODULUS_BITS[degree]}. Leave the degree out to have the smallest secure one."
        )
    return degree


def _bfv_prime_bits(degree: int) -> tuple[int, ...]:
    """Few primes of equal size, but not so few that the one that switches keys takes half of the modulus."""
    bits = MODULUS_BITS[degree]
    count = max(3, -(-bits // 55))
    return tuple(sorted(bits // count + (1 if index < bits % count else 0) for index in range(count)))


def _whole(**values: object) -> None:
    for name, value in values.items():
        if type(value) is not int:
            raise ConfigError(f"{name} must be an integer, not a {type(value).__name__}")


def _between(name: str, value: int, limits: tuple[int, int]) -> None:
    if not limits[0] <= value <= limits[1]:
        raise ConfigError(f"{name} must lie between {limits[0]} and {limits[1]}, not at {value}")
