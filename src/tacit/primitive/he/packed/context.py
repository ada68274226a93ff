"""Keys of packed encryption: what the holder keeps, and what everybody may have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any, NoReturn, TypeAlias, final

from tacit.foundation.errors import SecrecyError
from tacit.primitive.he.packed.arithmetic import Arithmetic
from tacit.primitive.he.packed.bfv import BfvArithmetic
from tacit.primitive.he.packed.ckks import CkksArithmetic
from tacit.primitive.he.packed.engine import Ciphertext, Engine, Plaintext, Ring
from tacit.primitive.he.packed.library import seal
from tacit.primitive.he.packed.parameters import Parameters
from tacit.primitive.he.packed.words import Words, key_words_of, words_of

AnyArithmetic: TypeAlias = Arithmetic[Any]


@final
class PublicContext:
    """The public part of a key: encrypts, and computes on ciphertexts. Has no secret; `dump_context` sends it.

    Attributes: parameters; arithmetic, the scheme's operations; fingerprint, a hash of parameters and public key that
    names the key in headers; rotates, whether it came with rotation keys.
    Security: 128 bits against chosen plaintexts, under ring learning with errors and circular security (rotation and
    relinearisation keys encrypt parts of the secret key). NOT secure against chosen ciphertexts: who may have
    ciphertexts of his own making decrypted, or merely learns whether that failed, can find the key.
    """

    def __init__(self, ring: Ring, public_key: Any, relinearisation: Any, rotations: Any | None) -> None:
        self.ring = ring
        self.parameters: Parameters = ring.parameters
        self.rotates = rotations is not None
        self.engine = Engine(ring, public_key, relinearisation, rotations)
        kind = CkksArithmetic if self.parameters.scheme == "ckks" else BfvArithmetic
        self.arithmetic: AnyArithmetic = kind(ring, self.engine)
        self._keys = (public_key, relinearisation, rotations)

    def __repr__(self) -> str:
        return f"PublicContext({self.parameters}, {self.fingerprint[:16]})"

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the parameters and the public key, in hexadecimal."""
        digest = hashlib.sha256(json.dumps(self.parameters.facts(), sort_keys=True).encode())
        digest.update(self.public_words.astype("<u8", copy=False).tobytes())
        return digest.hexdigest()

    @property
    def public_words(self) -> Words:
        """The residues of the public key."""
        return words_of(self._keys[0])

    @property
    def switching_words(self) -> tuple[Mapping[int, list[Words]], Mapping[int, list[Words]]]:
        """The residues of the relinearisation and of the rotation keys, by SEAL's index."""
        return key_words_of(self._keys[1]), key_words_of(self._keys[2]) if self.rotates else {}


@final
class SecretContext:
    """A key. Never printed, copied, pickled or written: there is no function for it. `public` goes to the others.

    SEAL draws keys and noise from BLAKE2Xb seeded by /dev/urandom, and makes no claim of constant time.
    """

    def __init__(self, public: PublicContext, secret_key: Any) -> None:
        self.public = public
        self._decryptor = seal().Decryptor(public.ring.context, secret_key)

    def __repr__(self) -> str:
        return f"SecretContext(<hidden>, {self.public!r})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise SecrecyError("a secret key is never pickled or copied: it would leave the process. Generate one there.")

    def __copy__(self) -> NoReturn:
        raise SecrecyError("a secret key is never copied. Pass it on as it is.")

    def __deepcopy__(self, memo: Mapping[int, object]) -> NoReturn:
        raise SecrecyError("a secret key is never copied. Pass it on as it is.")

    def open(self, cell: Ciphertext) -> Plaintext:
        """Decrypt one ciphertext. Raises: LevelsExhausted where BFV's content was lost to noise."""
        self.public.arithmetic.require(cell, self._decryptor)
        out = seal().Plaintext()
        self._decryptor.decrypt(cell, out)
        return out


def generate(parameters: Parameters, *, rotations: bool = True) -> SecretContext:
    """A fresh key of these parameters, CkksParameters or BfvParameters; its public part is `.public`.

    rotations: with keys for sums and matrix products. They are most of a public context: in degree 8192 with two levels 16
    MiB with and 2 without, in degree 16384 with eight levels 218 and 17.
    Raises: MissingExtra without TenSEAL; ConfigError where SEAL refuses the parameters.
    """
    library, ring = seal(), Ring(parameters)
    generator = library.KeyGenerator(ring.context)
    public_key, relinearisation = library.PublicKey(), library.RelinKeys()
    generator.create_public_key(public_key)
    generator.create_relin_keys(relinearisation)
    galois = None
    if rotations:
        galois = library.GaloisKeys()
        generator.create_galois_keys(ring.galois_elements(), galois)
    return SecretContext(PublicContext(ring, public_key, relinearisation, galois), generator.secret_key())
