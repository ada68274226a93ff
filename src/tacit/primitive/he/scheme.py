"""What an additively homomorphic scheme offers: integers in, rows of words out, sums without the secret key.

A scheme knows integers only, in the symmetric range [-capacity, capacity]; fractions, shapes and magnitude bounds are
the business of `CiphertextArray`. A ciphertext is a row of `width` words in memory, and `octets` bytes on the wire.

scheme, key       bytes on the wire   in memory   plaintext bits   bytes per number, 64-bit lanes packed
Paillier 2048     512                 640         2046             16.5 (31 lanes)
Paillier 3072     768                 960         3070             16.3 (47 lanes)
Okamoto-U. 2048   256                 320         680              25.6 (10 lanes)
Okamoto-U. 3072   384                 480         1022             25.6 (15 lanes)
EC-ElGamal        64                  64          24 by default    64 (nothing to pack)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import NoReturn

from tacit.foundation.errors import SecrecyError
from tacit.primitive.he.modular import Index, Octets, Rows


class AdditivePublicKey(ABC):
    """Encrypts and computes on ciphertexts. All methods take and return [n, width] rows of this key.

    Attributes: scheme, its name; bits, the key's size; capacity, the largest magnitude of a plaintext; width, words
    of a row; octets, bytes of a ciphertext on the wire; fingerprint, a hash that names the key in headers.
    """

    scheme: str
    bits: int
    capacity: int
    width: int
    octets: int
    fingerprint: str

    @abstractmethod
    def facts(self) -> dict[str, str | int]:
        """The public key as what JSON can say; `load_public_key` reads it."""

    @abstractmethod
    def encrypt(self, plain: Sequence[int]) -> Rows:
        """Fresh ciphertexts of integers in [-capacity, capacity]."""

    @abstractmethod
    def trivial(self, plain: Sequence[int]) -> Rows:
        """Ciphertexts of public integers without randomness: they hide nothing until they are randomised."""

    @abstractmethod
    def randomise(self, rows: Rows) -> Rows:
        """Other ciphertexts of the same plaintexts, distributed as fresh ones."""

    @abstractmethod
    def add(self, a: Rows, b: Rows) -> Rows:
        """a + b, element by element."""

    @abstractmethod
    def negate(self, a: Rows) -> Rows:
        """-a."""

    @abstractmethod
    def scale(self, a: Rows, factors: Sequence[int]) -> Rows:
        """a * factors, public integers of either sign, one each or one for all."""

    @abstractmethod
    def sums(self, a: Rows, index: Index, starts: Index) -> Rows:
        """out[s] = sum of a[index[j]] over starts[s] <= j < starts[s + 1]; 0 where there is none."""

    @abstractmethod
    def matmul(self, a: Rows, factors: Sequence[Sequence[int]]) -> Rows:
        """a [m * k] as a matrix of m rows, times the public matrix factors [k][n]: [m * n] rows."""

    @abstractmethod
    def to_wire(self, rows: Rows) -> Octets:
        """Canonical bytes [n, octets]."""

    @abstractmethod
    def from_wire(self, octets: Octets) -> Rows:
        """Rows of bytes that arrived. Raises: CiphertextRefused unless every one is a ciphertext of this key."""


class AdditiveSecretKey(ABC):
    """Decrypts. Never printed, copied to another process or written: there is no function for it."""

    public: AdditivePublicKey

    @abstractmethod
    def decrypt(self, rows: Rows) -> list[int]:
        """Plaintexts in [-capacity, capacity]. Raises: CiphertextOverflow where one is not."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<hidden>, {self.public!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SecrecyError("a secret key is never pickled or copied: it would leave the process. Generate one there.")

    def __copy__(self) -> NoReturn:
        raise SecrecyError("a secret key is never copied. Pass it on as it is.")

    def __deepcopy__(self, memo: Mapping[int, object]) -> NoReturn:
        raise SecrecyError("a secret key is never copied. Pass it on as it is.")
