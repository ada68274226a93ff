"""Packed encryption beside the libraries: Tacit, SEAL through TenSEAL's plain bindings, TenSEAL, and OpenFHE.

    python benchmarks/he_packed.py [--schemes ckks bfv] [--seconds 0.5] [--openfhe PYTHON] [--json FILE]

One process, one thread, processor time, the best of several calls: neighbours on the machine disturb that least. Degree 8192:
CKKS with primes of 55, 40, 40 and 60 bits, 4096 numbers; BFV with four primes of 54 and 55 bits and a plaintext modulus of
20, 8192 numbers. Encryption includes encoding, decryption decoding; a product is relinearised and rescaled. TenSEAL
is `ckks_vector` and `bfv_vector`. OpenFHE's wheels load in few interpreters: name one that has it. Its own choice of
parameters would be twice the degree for the same modulus, so its check is off, for equal sizes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

DEGREE = 8192
INPUTS, OUTPUTS = 1024, 64  # of the product with a matrix
OPERATIONS = (
    "encrypt",
    "decrypt",
    "add",
    "add plain",
    "multiply plain",
    "multiply",
    "rotate",
    "sum",
    "matvec",
    "dump",
    "load",
)
Calls = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schemes", nargs="+", default=["ckks", "bfv"], choices=["ckks", "bfv"])
    parser.add_argument("--seconds", type=float, default=0.5, help="time spent on each figure")
    parser.add_argument("--openfhe", help="a Python that has OpenFHE")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only-openfhe", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only_openfhe:
        print(json.dumps({scheme: rates(openfhe(scheme), options.seconds) for scheme in options.schemes}))
        return
    foreign = openfhe_rates(options) if options.openfhe else {}
    rows = []
    for scheme in options.schemes:
        systems = {"tacit": tacit, "seal": sealapi, "tenseal": tenseal}
        table = {name: rates(make(scheme), options.seconds) for name, make in systems.items()}
        if foreign:
            table["openfhe"] = foreign[scheme]
        print(f"\n{scheme}: operations per second" + "".join(f"{name:>12}" for name in table) + f"{'tacit / seal':>14}")
        for operation in OPERATIONS:
            found = [table[name].get(operation) for name in table]
            ratio = found[0] / found[1] if found[0] and found[1] else None
            cells = "".join(f"{rate:>12.1f}" if rate else f"{'-':>12}" for rate in found)
            print(f"{operation:<{len(scheme) + 23}}{cells}" + (f"{ratio:>14.2f}" if ratio else f"{'-':>14}"))
            rows += [
                {"scheme": scheme, "operation": operation, "system": name, "per_second": table[name].get(operation)}
                for name in table
            ]
    if options.json:
        options.json.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rates(calls: Calls, seconds: float) -> dict[str, float]:
    """Calls per second of processor time; the best."""
    return {name: 1 / best(call, seconds) for name, call in calls.items()}


def best(call: Callable[[], object], seconds: float) -> float:
    call()
    lowest, stop = float("inf"), time.perf_counter() + seconds
    while lowest == float("inf") or time.perf_counter() < stop:
        start = time.process_time()
        call()
        lowest = min(lowest, time.process_time() - start)
    return max(lowest, 1e-6)


def numbers(scheme: str) -> list:
    return (
        [i % 7 - 3 for i in range(DEGREE)] if scheme == "bfv" else [(i % 200 - 100) / 100 for i in range(DEGREE // 2)]
    )


def matrix(scheme: str) -> list:
    """[INPUTS, OUTPUTS]."""
    scale = 1 if scheme == "bfv" else 0.01
    return [[scale * ((i * j + i + 2 * j) % 5 - 2.0) for j in range(OUTPUTS)] for i in range(INPUTS)]


def tacit(scheme: str) -> Calls:
    import numpy as np

    from tacit.primitive.he.packed import BfvParameters, CkksParameters, decrypt, dump, encrypt, generate, load

    if scheme == "ckks":
        key = generate(CkksParameters(levels=2, degree=DEGREE))
    else:
        key = generate(BfvParameters(multiplications=1, plain_bits=20, degree=DEGREE))
    values = np.array(numbers(scheme))
    weights = np.array(matrix(scheme)).astype(values.dtype)
    x, short = encrypt(key.public, values), encrypt(key.public, values[:INPUTS])
    header, octets = dump(x)
    turned = x.layout
    return {
        "encrypt": lambda: encrypt(key.public, values),
        "decrypt": lambda: decrypt(key, x),
        "add": lambda: x + x,
        "add plain": lambda: x + values,
        "multiply plain": lambda: x * values,
        "multiply": lambda: x * x[:],
        "rotate": lambda: x.rotated(1, exchange=False, layout=turned),
        "sum": x.sum,
        "matvec": lambda: short @ weights,
        "dump": lambda: dump(x),
        "load": lambda: load(header, octets, key.public),
    }


def sealapi(scheme: str) -> Calls:
    """The same work as calls of SEAL, with nothing around it."""
    import tenseal.sealapi as seal

    real = scheme == "ckks"
    parameters = seal.EncryptionParameters(seal.SCHEME_TYPE.CKKS if real else seal.SCHEME_TYPE.BFV)
    parameters.set_poly_modulus_degree(DEGREE)
    sizes = [55, 40, 40, 60] if real else [54, 54, 55, 55]
    parameters.set_coeff_modulus(seal.CoeffModulus.Create(DEGREE, sizes))
    if not real:
        parameters.set_plain_modulus(seal.PlainModulus.Batching(DEGREE, 20))
    context = seal.SEALContext(parameters, True, seal.SEC_LEVEL_TYPE.TC128)
    generator = seal.KeyGenerator(context)
    public, relinearisation, galois = seal.PublicKey(), seal.RelinKeys(), seal.GaloisKeys()
    generator.create_public_key(public)
    generator.create_relin_keys(relinearisation)
    generator.create_galois_keys([pow(3, 1 << i, 2 * DEGREE) for i in range(12)] + [2 * DEGREE - 1], galois)
    encryptor, evaluator = seal.Encryptor(context, public), seal.Evaluator(context)
    decryptor = seal.Decryptor(context, generator.secret_key())
    encoder = seal.CKKSEncoder(context) if real else seal.BatchEncoder(context)
    values = numbers(scheme)

    def encoded():
        plain = seal.Plaintext()
        encoder.encode(values, 2.0**40, plain) if real else encoder.encode(values, plain)
        return plain

    def made(operation, *operands):
        out = seal.Ciphertext()
        operation(*operands, out)
        return out

    def multiply():
        out = made(evaluator.multiply, x, y)
        evaluator.relinearize_inplace(out, relinearisation)
        if real:
            evaluator.rescale_to_next_inplace(out)

    def multiply_plain():
        out = made(evaluator.multiply_plain, x, encoded())
        if real:
            evaluator.rescale_to_next_inplace(out)

    def total():
        out = x
        for index in range(12):
            out = made(evaluator.add, out, made(evaluator.apply_galois, out, pow(3, 1 << index, 2 * DEGREE), galois))
        if not real:
            out = made(evaluator.add, out, made(evaluator.apply_galois, out, 2 * DEGREE - 1, galois))

    def decrypt():
        plain = seal.Plaintext()
        decryptor.decrypt(x, plain)
        return encoder.decode_double(plain) if real else encoder.decode_int64(plain)

    x, y = made(encryptor.encrypt, encoded()), made(encryptor.encrypt, encoded())
    return {
        "encrypt": lambda: made(encryptor.encrypt, encoded()),
        "decrypt": decrypt,
        "add": lambda: made(evaluator.add, x, y),
        "add plain": lambda: made(evaluator.add_plain, x, encoded()),
        "multiply plain": multiply_plain,
        "multiply": multiply,
        "rotate": lambda: made(evaluator.apply_galois, x, 3, galois),
        "sum": total,
    }


def tenseal(scheme: str) -> Calls:
    import tenseal as ts

    values, weights = numbers(scheme), matrix(scheme)
    if scheme == "ckks":
        context = ts.context(ts.SCHEME_TYPE.CKKS, DEGREE, coeff_mod_bit_sizes=[55, 40, 40, 60], n_threads=1)
        context.global_scale = 2.0**40
        make, load = ts.ckks_vector, ts.ckks_vector_from
    else:
        context = ts.context(ts.SCHEME_TYPE.BFV, DEGREE, 1032193, coeff_mod_bit_sizes=[54, 54, 55, 55], n_threads=1)
        make, load = ts.bfv_vector, ts.bfv_vector_from
    context.generate_galois_keys()
    x, y = make(context, values), make(context, values)
    octets = x.serialize()
    calls: Calls = {
        "encrypt": lambda: make(context, values),
        "decrypt": x.decrypt,
        "add": lambda: x + y,
        "add plain": lambda: x + values,
        "multiply plain": lambda: x * values,
        "multiply": lambda: x * y,
        "dump": x.serialize,
        "load": lambda: load(context, octets),
    }
    if scheme == "ckks":
        short = make(context, values[:INPUTS])
        calls |= {"sum": x.sum, "matvec": lambda: short.mm(weights)}
    return calls


def openfhe_rates(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """This file, run by an interpreter that has OpenFHE, with one thread."""
    command = [
        options.openfhe,
        __file__,
        "--only-openfhe",
        "--seconds",
        str(options.seconds),
        "--schemes",
        *options.schemes,
    ]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{options.openfhe} cannot run OpenFHE: {done.stderr.strip()[-300:]}")
    return json.loads(done.stdout.splitlines()[-1])


def openfhe(scheme: str) -> Calls:
    import openfhe as fhe

    real = scheme == "ckks"
    parameters = fhe.CCParamsCKKSRNS() if real else fhe.CCParamsBFVRNS()
    parameters.SetMultiplicativeDepth(2)
    parameters.SetSecurityLevel(fhe.SecurityLevel.HEStd_NotSet)
    parameters.SetRingDim(DEGREE)
    if real:
        parameters.SetScalingModSize(40)
        parameters.SetFirstModSize(55)
        parameters.SetScalingTechnique(fhe.ScalingTechnique.FIXEDMANUAL)
    else:
        parameters.SetPlaintextModulus(1032193)
    context = fhe.GenCryptoContext(parameters)
    for feature in (fhe.PKE, fhe.KEYSWITCH, fhe.LEVELEDSHE, fhe.ADVANCEDSHE):
        context.Enable(feature)
    keys = context.KeyGen()
    context.EvalMultKeyGen(keys.secretKey)
    context.EvalRotateKeyGen(keys.secretKey, [1])
    values = numbers(scheme)
    encode = context.MakeCKKSPackedPlaintext if real else context.MakePackedPlaintext
    rescale = context.Rescale if real else lambda ciphertext: ciphertext
    x, y = (context.Encrypt(keys.publicKey, encode(values)) for _ in range(2))

    def decrypt():
        plain = context.Decrypt(keys.secretKey, x)
        return plain.GetRealPackedValue() if real else plain.GetPackedValue()

    return {
        "encrypt": lambda: context.Encrypt(keys.publicKey, encode(values)),
        "decrypt": decrypt,
        "add": lambda: context.EvalAdd(x, y),
        "add plain": lambda: context.EvalAdd(x, encode(values)),
        "multiply plain": lambda: rescale(context.EvalMult(x, encode(values))),
        "multiply": lambda: rescale(context.EvalMult(x, y)),
        "rotate": lambda: context.EvalRotate(x, 1),
    }


if __name__ == "__main__":
    main()
