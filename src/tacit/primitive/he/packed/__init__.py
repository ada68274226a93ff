"""Packed homomorphic encryption: thousands of numbers in a ciphertext; CKKS for real ones, BFV for integers.

    key = generate(CkksParameters(levels=3))        # the key holder; key.public goes to the others
    x = encrypt(key.public, table)                  # [rows, features]
    y = (x @ weights + bias).polynomial([0.5, 0.15, 0, -0.0015])     # anybody; refused before any work if too deep
    header, octets = dump(y)                        # randomised; then load(header, octets, key.public)
    decrypt(key, y)                                 # within y.error; for the key holder's eyes

CKKS decryptions that others see give the key away: `decrypt_to_share` floods them with noise. BFV is exact.
"""

from tacit.primitive.he.packed.array import PackedArray, decrypt, encrypt
from tacit.primitive.he.packed.context import PublicContext, SecretContext, generate
from tacit.primitive.he.packed.parameters import BfvParameters, CkksParameters
from tacit.primitive.he.packed.share import Flooding, decrypt_to_share
from tacit.primitive.he.packed.wire import dump, dump_context, load, load_context

__all__ = [
    "BfvParameters",
    "CkksParameters",
    "Flooding",
    "PackedArray",
    "PublicContext",
    "SecretContext",
    "decrypt",
    "decrypt_to_share",
    "dump",
    "dump_context",
    "encrypt",
    "generate",
    "load",
    "load_context",
]
