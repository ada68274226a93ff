"""One key's ciphertext operations by SEAL: what both schemes have in common. Nothing here knows shapes or bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias, final

from tacit.foundation.errors import ConfigError, UnsupportedOperation
from tacit.primitive.he.packed.library import hidden, seal
from tacit.primitive.he.packed.noise import RingNoise
from tacit.primitive.he.packed.parameters import MODULUS_BITS, Parameters, seal_parameters
from tacit.primitive.he.packed.slots import Geometry

Ciphertext: TypeAlias = Any
Plaintext: TypeAlias = Any


class Level(NamedTuple):
    """The moduli of ciphertexts that have so many levels left."""

    parms_id: tuple[int, ...]
    primes: tuple[int, ...]


@final
class Ring:
    """The ring of some parameters: its moduli, its slots and SEAL's tables. Holds no key.

    levels[i] is what a ciphertext with i products ahead of it is modulo; `keys` is what keys are modulo.
    Raises: ConfigError where SEAL, or the standard's table once more, refuses the parameters.
    """

    def __init__(self, parameters: Parameters) -> None:
        library = seal()
        self.parameters = parameters
        self.context = library.SEALContext(seal_parameters(parameters), True, library.SEC_LEVEL_TYPE.TC128)
        if not self.context.parameters_set():
            raise ConfigError(f"SEAL refuses these parameters: {self.context.parameters_error_message()}")
        data = self.context.key_context_data()
        self.keys = _level(data)
        if (
            data.total_coeff_modulus_bit_count() > MODULUS_BITS[parameters.degree]
            or not self.context.using_keyswitching()
        ):
            raise ConfigError("these parameters have less than 128 bits of security, or no prime to switch keys with")
        chain = []
        data = self.context.first_context_data()
        while data is not None:
            chain.append(_level(data))
            data = data.next_context_data()
        self.levels = chain[::-1]
        self.noise = RingNoise(parameters.degree, float(self.keys.primes[-1]))
        self.geometry = Geometry(parameters.lanes, parameters.degree // 2)
        self.plain_modulus = _plain_modulus(self.context)

    @property
    def top(self) -> int:
        """The level of fresh ciphertexts."""
        return len(self.levels) - 1

    def galois_elements(self) -> list[int]:
        """Of rotations by powers of two, and of the exchange of lanes: what `Engine.rotate` is made of."""
        order = 2 * self.parameters.degree
        steps = [pow(3, 1 << index, order) for index in range(self.geometry.lane.bit_length() - 1)]
        return [*steps, order - 1] if self.geometry.lanes > 1 else steps

    def key_index(self, element: int) -> int:
        """Where SEAL keeps the key of a Galois element."""
        return (element - 1) // 2


@final
class Engine:
    """Operations under one public key. Operands are at the same level; results are new, operands stay as they are.

    Raises: Transparent where a result would be a constant in the clear (`zero` is what to put in its place).
    """

    def __init__(self, ring: Ring, public_key: Any, relinearisation: Any, rotations: Any | None) -> None:
        library = seal()
        self.ring = ring
        self._new = library.Ciphertext
        self._evaluator = library.Evaluator(ring.context)
        self._encryptor = library.Encryptor(ring.context, public_key)
        self._relinearisation = relinearisation
        self._rotations = rotations

    def encrypt(self, plain: Plaintext) -> Ciphertext:
        """A fresh ciphertext, at the level of the plaintext."""
        out = self._new()
        self._encryptor.encrypt(plain, out)
        return out

    def zero(self, level: int, scale: float) -> Ciphertext:
        """A fresh encryption of zeros."""
        out = self._new()
        self._encryptor.encrypt_zero(list(self.ring.levels[level].parms_id), out)
        if self.ring.parameters.scheme == "ckks":
            out.scale = scale
        return out

    def add(self, a: Ciphertext, b: Ciphertext) -> Ciphertext:
        """a + b."""
        return self._made(self._evaluator.add, a, b)

    def add_to(self, a: Ciphertext, b: Ciphertext) -> None:
        """a += b, for an `a` that nobody else has."""
        hidden(self._evaluator.add_inplace, a, b)

    def copy(self, a: Ciphertext) -> Ciphertext:
        """Another ciphertext with the same content, that may be changed."""
        return self._made(self._evaluator.mod_switch_to, a, list(a.parms_id()))

    def subtract(self, a: Ciphertext, b: Ciphertext) -> Ciphertext:
        """a - b."""
        return self._made(self._evaluator.sub, a, b)

    def negate(self, a: Ciphertext) -> Ciphertext:
        """-a."""
        return self._made(self._evaluator.negate, a)

    def add_plain(self, a: Ciphertext, plain: Plaintext) -> Ciphertext:
        """a + plain."""
        return self._made(self._evaluator.add_plain, a, plain)

    def multiply_plain(self, a: Ciphertext, plain: Plaintext) -> Ciphertext:
        """a * plain, slot by slot; its scale is the product of theirs."""
        return self._made(self._evaluator.multiply_plain, a, plain)

    def multiply(self, a: Ciphertext, b: Ciphertext) -> Ciphertext:
        """a * b, slot by slot, relinearised; its scale is the product of theirs."""
        out = self._made(self._evaluator.square, a) if a is b else self._made(self._evaluator.multiply, a, b)
        self._evaluator.relinearize_inplace(out, self._relinearisation)
        return out

    def rescale(self, a: Ciphertext) -> None:
        """Divide by the level's last prime, in place."""
        self._evaluator.rescale_to_next_inplace(a)

    def lower(self, a: Ciphertext, level: int) -> Ciphertext:
        """The same ciphertext with fewer primes: for CKKS exactly the same numbers."""
        out = self._new()
        self._evaluator.mod_switch_to(a, list(self.ring.levels[level].parms_id), out)
        return out

    def rotate(self, a: Ciphertext, steps: int, *, exchange: bool = False) -> Ciphertext:
        """Slot s of the result is slot s + steps of `a`, in every lane; `exchange` takes it from the other lane."""
        self.require_rotations()
        lane = self.ring.geometry.lane
        order = 2 * self.ring.parameters.degree
        if exchange:
            a = self._made(self._evaluator.apply_galois, a, order - 1, self._rotations)
        for index in range(lane.bit_length() - 1):
            if steps % lane >> index & 1:
                element = pow(3, 1 << index, order)
                a = self._made(self._evaluator.apply_galois, a, element, self._rotations)
        return a

    def require_rotations(self) -> None:
        """UnsupportedOperation where the key holder gave no keys for them."""
        if self._rotations is None:
            raise UnsupportedOperation(
                "sums, products with matrices and operands in other places rotate ciphertexts, and this key came without "
                "rotation keys. Have its holder generate it with rotations=True."
            )

    def _made(self, operation: Any, *operands: Any) -> Ciphertext:
        out = self._new()
        hidden(operation, *operands, out)
        return out


def rotations_for(steps: int, lane: int) -> int:
    """How many key switches `Engine.rotate` makes."""
    return (steps % lane).bit_count()


def sequence(value: Sequence[int]) -> tuple[int, ...]:
    """Plain integers of what SEAL's bindings return."""
    return tuple(int(item) for item in value)


def _level(data: Any) -> Level:
    return Level(sequence(data.parms_id()), tuple(int(prime.value()) for prime in data.parms().coeff_modulus()))


def _plain_modulus(context: Any) -> int:
    return int(context.key_context_data().parms().plain_modulus().value())
