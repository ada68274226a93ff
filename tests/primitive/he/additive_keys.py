"""One key of every scheme for all tests, made once."""

from functools import cache

from tacit.primitive.he import Decryptions, generate_elgamal, generate_okamoto_uchiyama, generate_paillier


@cache
def paillier(bits=2048):
    return generate_paillier(bits)


@cache
def okamoto_uchiyama(bits=2048):
    return generate_okamoto_uchiyama(bits, decryptions=Decryptions.STAY_HIDDEN)


@cache
def elgamal():
    return generate_elgamal(range_bits=16)


RESIDUE_SCHEMES = [paillier, okamoto_uchiyama]
EVERY_SCHEME = [*RESIDUE_SCHEMES, elgamal]
