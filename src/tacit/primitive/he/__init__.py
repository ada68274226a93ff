"""Additively homomorphic encryption: arrays that a party computes on without the key.

    key = generate_paillier()                       # the key holder; key.public goes to the others
    x = encrypt(key.public, [[0.5, 1.0], [2.0, 3.0]])
    y = (x @ [0.25, -1.5] + 3).sum()                # anybody
    header, octets = dump(y)                        # randomised; then load(header, octets, key.public)
    decrypt(key, y)

Paillier is the default. Okamoto-Uchiyama is for decryptions that nobody but the key holder sees; ElGamal on a curve
for short ciphertexts of small integers. `AdditivePublicKey` is what they have in common.
"""

from tacit.primitive.he.array import CiphertextArray, concatenate, decrypt, encrypt
from tacit.primitive.he.bucket import feature_wise_bucket_sum
from tacit.primitive.he.elgamal import ElGamalPublicKey, ElGamalSecretKey, generate_elgamal
from tacit.primitive.he.encoding import Encoding, Packing
from tacit.primitive.he.okamoto_uchiyama import (
    Decryptions,
    OkamotoUchiyamaPublicKey,
    OkamotoUchiyamaSecretKey,
    generate_okamoto_uchiyama,
)
from tacit.primitive.he.paillier import PaillierPublicKey, PaillierSecretKey, generate_paillier
from tacit.primitive.he.scheme import AdditivePublicKey, AdditiveSecretKey
from tacit.primitive.he.wire import dump, dump_public_key, load, load_public_key

__all__ = [
    "AdditivePublicKey",
    "AdditiveSecretKey",
    "CiphertextArray",
    "Decryptions",
    "ElGamalPublicKey",
    "ElGamalSecretKey",
    "Encoding",
    "OkamotoUchiyamaPublicKey",
    "OkamotoUchiyamaSecretKey",
    "Packing",
    "PaillierPublicKey",
    "PaillierSecretKey",
    "concatenate",
    "decrypt",
    "dump",
    "dump_public_key",
    "encrypt",
    "feature_wise_bucket_sum",
    "generate_elgamal",
    "generate_okamoto_uchiyama",
    "generate_paillier",
    "load",
    "load_public_key",
]
