"""What a packed scheme offers to arrays: ciphertext operations, and beforehand what they do to size and error.

Every operation exists twice: on `Bounds`, which is pure planning and refuses what cannot work, and on ciphertexts, which
is called only after its plan was made. So whatever is refused is refused before any work.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tacit.primitive.he.packed.engine import Ciphertext, Engine, Plaintext, Ring

Bounds = TypeVar("Bounds")


class Arithmetic(ABC, Generic[Bounds]):
    """Numbers of one scheme under one key; `Bounds` is what is known in public of all slots of an array.

    In plans: `norm` is the largest sum of magnitudes of the factors that make one result; `largest` one factor's largest
    magnitude; `terms` how many products of a ciphertext with a plaintext are added up; `before` and `after` how many
    rotations precede and follow the products.
    """

    dtype: ClassVar[type[np.float64 | np.int64]]
    ring: Ring
    engine: Engine

    # Plans ------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def fresh(self, magnitude: float) -> Bounds:
        """Of a fresh ciphertext of numbers up to `magnitude`."""

    @abstractmethod
    def sum(self, a: Bounds, b: Bounds) -> Bounds:
        """Of a + b or a - b; the higher of the two is lowered first."""

    @abstractmethod
    def shifted(self, a: Bounds, magnitude: float) -> Bounds:
        """Of a + plain."""

    @abstractmethod
    def product(self, a: Bounds, b: Bounds) -> Bounds:
        """Of a * b."""

    @abstractmethod
    def combination(
        self,
        a: Bounds,
        *,
        norm: float,
        largest: float,
        terms: int = 1,
        before: int = 0,
        after: int = 0,
        scalar: bool = False,
    ) -> Bounds:
        """Of a sum of rotated ciphertexts times plaintexts, finished once at the end."""

    @abstractmethod
    def folded(self, a: Bounds, *, numbers: int, copies: int, doublings: int, windows: int = 0) -> Bounds:
        """Of the sum of `numbers` numbers: `copies` ciphertexts added, then doubled so often by rotations.

        Other slots may hold sums of up to `windows` numbers.
        """

    @abstractmethod
    def rotated(self, a: Bounds, times: int) -> Bounds:
        """After so many rotations."""

    @abstractmethod
    def randomised(self, a: Bounds) -> Bounds:
        """After adding a fresh encryption of zero."""

    @abstractmethod
    def level(self, a: Bounds) -> int:
        """The index into `ring.levels` of its ciphertexts."""

    @abstractmethod
    def products_left(self, a: Bounds) -> int:
        """How many products with equals may follow one another before the levels, or the noise budget, are used up."""

    @abstractmethod
    def deepest(self, degree: int) -> int:
        """How many products in a row a polynomial of this degree takes."""

    @abstractmethod
    def magnitude(self, a: Bounds) -> float:
        """What no number exceeds."""

    @abstractmethod
    def error(self, a: Bounds) -> float:
        """By how much a decrypted number may differ; 0 where it is exact."""

    @abstractmethod
    def to_facts(self, a: Bounds) -> dict[str, Any]:
        """What JSON can say of it, rounded up."""

    @abstractmethod
    def from_facts(self, facts: dict[str, Any]) -> Bounds:
        """What to_facts() described. Raises: CiphertextRefused where it cannot be of this key."""

    # Ciphertexts ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def numbers(self, values: Any, what: str) -> NDArray[Any]:
        """Values as this scheme's dtype; InputError where they are not numbers of it."""

    @abstractmethod
    def encode(self, slots: NDArray[Any], level: int) -> Plaintext:
        """A plaintext of one ciphertext's slots, to be added, multiplied with or encrypted at this level."""

    @abstractmethod
    def encode_scalar(self, value: float, level: int) -> Plaintext:
        """A plaintext with this value in every slot."""

    @abstractmethod
    def decode(self, plain: Plaintext) -> NDArray[Any]:
        """The slots of a plaintext."""

    @abstractmethod
    def zero(self, level: int) -> Ciphertext:
        """A fresh encryption of zeros."""

    @abstractmethod
    def lowered(self, cell: Ciphertext, a: Bounds, to: Bounds) -> Ciphertext:
        """The ciphertext at the level of `to`."""

    @abstractmethod
    def finished(self, cell: Ciphertext, level: int) -> None:
        """End a product of operands at `level`, in place."""

    @abstractmethod
    def require(self, cell: Ciphertext, secret: Any) -> None:
        """With the secret key: LevelsExhausted where the ciphertext has lost its content to noise."""
