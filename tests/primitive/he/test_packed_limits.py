"""What cannot work, or would not be secure, is refused before any work; secrets stay where they are."""

import copy
import pickle

import numpy as np
import pytest
from packed_keys import bfv, ckks, require_close, shallow_bfv, small_ckks

from tacit.foundation.errors import (
    CiphertextOverflow,
    ConfigError,
    InputError,
    KeyMismatch,
    LevelsExhausted,
    PolicyError,
    SecrecyError,
    UnsupportedOperation,
)
from tacit.primitive.he.packed import (
    BfvParameters,
    CkksParameters,
    Flooding,
    decrypt,
    decrypt_to_share,
    encrypt,
    generate,
)
from tacit.primitive.he.packed.parameters import MODULUS_BITS

# Table 1 of the homomorphic encryption standard: ternary secret, 128 bits, classical attacks.
STANDARD = {1024: 27, 2048: 54, 4096: 109, 8192: 218, 16384: 438, 32768: 881}


def test_the_table_is_the_standards():
    assert MODULUS_BITS == STANDARD


@pytest.mark.parametrize("levels", range(20))
def test_chosen_parameters_are_secure(levels):
    parameters = CkksParameters(levels=levels)
    assert sum(parameters.prime_bits) <= STANDARD[parameters.degree]
    assert len(parameters.prime_bits) == levels + 2


@pytest.mark.parametrize("multiplications", range(6))
@pytest.mark.parametrize("plain_bits", [18, 24, 40])
def test_chosen_bfv_parameters_have_room_for_their_products(multiplications, plain_bits):
    parameters = BfvParameters(multiplications=multiplications, plain_bits=plain_bits)
    assert sum(parameters.prime_bits) <= STANDARD[parameters.degree]
    if parameters.degree <= 8192:
        x = encrypt(generate(parameters, rotations=False).public, [1])
        assert x.levels >= multiplications


@pytest.mark.parametrize(
    "make",
    [
        lambda: CkksParameters(levels=3, degree=8192),
        lambda: CkksParameters(levels=0, degree=4096),
        lambda: CkksParameters(levels=25),
        lambda: CkksParameters(levels=-1),
        lambda: CkksParameters(levels=1.0),
        lambda: CkksParameters(scale_bits=55),
        lambda: CkksParameters(scale_bits=50, range_bits=11),
        lambda: CkksParameters(degree=5000),
        lambda: CkksParameters(degree=65536),
        lambda: BfvParameters(plain_bits=16),
        lambda: BfvParameters(plain_bits=51),
        lambda: BfvParameters(multiplications=30, plain_bits=50),
        lambda: BfvParameters(multiplications=3, plain_bits=40, degree=8192),
        lambda: BfvParameters(degree=1000),
        lambda: BfvParameters(plain_bits=True),
    ],
)
def test_insecure_or_impossible_parameters_are_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_levels_run_out_with_a_way_out():
    key = small_ckks()
    x = encrypt(key.public, np.ones(4)) * 0.5
    assert x.levels == 0
    for call in (lambda: x * 2, lambda: x * x, lambda: x @ np.ones(4), x[:2].cleaned, x[:2].sum):
        with pytest.raises(LevelsExhausted, match=r"more levels|one level more") as refused:
            call()
        assert (refused.value.needed, refused.value.left) == (1, 0)
    require_close(key, x + x - 1, np.zeros(4))


def test_polynomials_are_refused_before_any_work():
    x = encrypt(ckks().public, np.ones(4))
    calls = []
    engine = x.context.engine
    original, engine.multiply = engine.multiply, lambda *operands: calls.append(operands)
    try:
        with pytest.raises(LevelsExhausted, match="degree 4 takes 3 levels, and 2 are left") as refused:
            x.polynomial([1, 0, 0, 0, 1])
        with pytest.raises(CiphertextOverflow):
            x.polynomial([0, 0, 0, 1e7])
        with pytest.raises(LevelsExhausted):
            encrypt(shallow_bfv().public, [1]).polynomial([0] * 16 + [1])
    finally:
        engine.multiply = original
    assert (refused.value.needed, refused.value.left) == (3, 2)
    assert not calls
    for wrong in ([], [[1.0]], ["a"], [np.nan], 1j):
        with pytest.raises((InputError, TypeError)):
            x.polynomial(wrong)


def test_integers_never_wrap():
    key = bfv()
    limit = (key.public.ring.plain_modulus - 1) // 2
    edge = encrypt(key.public, [limit, -limit])
    assert decrypt(key, edge).tolist() == [limit, -limit]
    for call in (lambda: edge + 1, lambda: edge - edge, lambda: edge * 2, edge.sum, lambda: edge * edge):
        with pytest.raises(CiphertextOverflow, match=str(limit)):
            call()
    for wrong in ([limit + 1], [-limit - 1], [2**63 - 1], np.array([2**64 - 1], np.uint64)):
        with pytest.raises(CiphertextOverflow):
            encrypt(key.public, wrong)
    with pytest.raises(CiphertextOverflow):
        encrypt(key.public, [3], magnitude=2)
    assert encrypt(key.public, [3], magnitude=2**12).magnitude == 2**12


def test_noise_of_integers_is_planned():
    key = bfv()
    x = encrypt(key.public, [1])
    for _ in range(x.levels):
        x = x * x
    with pytest.raises(LevelsExhausted, match="multiplications"):
        x * x
    require_close(key, x, [1])


def test_planned_noise_is_above_the_real_one():
    """SEAL's noise budget, which takes the secret key to see, is never less than what was planned without it."""
    key = bfv()
    budget = key._decryptor.invariant_noise_budget
    rng = np.random.default_rng(2)
    x, matrix = encrypt(key.public, rng.integers(-3, 4, (30, 40))), rng.integers(-3, 4, (40, 5))
    for array in (
        x,
        x + x,
        x + 1,
        x * x,
        x * 3,
        x * np.arange(40),
        x.sum(),
        x.sum(0),
        x.sum(1),
        x @ matrix,
        matrix.T @ x.T,
    ):
        assert min(map(budget, array.cells)) >= np.floor(-np.log2(2 * array.bounds.noise))


def test_reals_that_outgrow_their_range_are_refused():
    key = ckks()
    x = encrypt(key.public, [100.0])
    with pytest.raises(CiphertextOverflow, match="range_bits"):
        (x * x) * (x * x)
    with pytest.raises(CiphertextOverflow):
        encrypt(key.public, [1.0, -3.0], magnitude=2.0)
    tiny = encrypt(key.public, [1e-30], magnitude=1e-30)
    with pytest.raises(CiphertextOverflow):
        tiny * 1e30
    with pytest.raises(CiphertextOverflow):
        tiny + 1e30


@pytest.mark.parametrize("values", [[1.5, np.inf], [np.nan], ["1"], [1j], [None], [[1], [2, 3]]])
def test_what_is_no_number_is_refused(values):
    for key in (small_ckks(), shallow_bfv()):
        with pytest.raises(InputError):
            encrypt(key.public, values)


def test_floats_are_not_rounded_to_integers():
    with pytest.raises(InputError, match="exact"):
        encrypt(shallow_bfv().public, [1.0])
    with pytest.raises(InputError, match="exact"):
        encrypt(shallow_bfv().public, [1]) + 0.5


def test_keys_do_not_mix():
    other = generate(CkksParameters(levels=1, scale_bits=25, range_bits=8), rotations=False)
    x, y = encrypt(small_ckks().public, [1.0, 2.0]), encrypt(other.public, [1.0, 2.0])
    for call in (lambda: x + y, lambda: x * y, lambda: decrypt(other, x), lambda: decrypt(small_ckks(), y)):
        with pytest.raises(KeyMismatch):
            call()
    with pytest.raises(UnsupportedOperation, match="rotations=True"):
        y.sum()


def test_secrets_stay():
    key = small_ckks()
    for leave in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(SecrecyError):
            leave(key)
    assert "hidden" in repr(key)
    x = encrypt(key.public, [1.0])
    with pytest.raises(SecrecyError):
        bool(x)
    with pytest.raises(SecrecyError):
        x == x  # noqa: B015


def test_reals_are_shown_to_others_with_noise_only():
    key, values = ckks(), np.linspace(-1, 1, 50)
    x = encrypt(key.public, values)
    with pytest.raises(PolicyError, match="BFV"):
        decrypt_to_share(key, x, None)
    with pytest.raises(PolicyError, match="numbers in all"):
        decrypt_to_share(key, x, Flooding(numbers=49))
    with pytest.raises(PolicyError, match="more scale_bits"):
        decrypt_to_share(key, x, Flooding(bits=40, numbers=50), error=1e-3)
    with pytest.raises(ConfigError):
        Flooding(bits=0)
    found, error = decrypt_to_share(key, x, Flooding(bits=8, numbers=50), error=0.01)
    assert np.abs(found - values).max() <= error <= 0.01
    again, _ = decrypt_to_share(key, x, Flooding(bits=8, numbers=50))
    assert not np.array_equal(found, again)


def test_the_noise_that_floods_is_uniform_and_as_large_as_promised():
    key = small_ckks()
    x = encrypt(key.public, np.zeros(2000))
    flooding = Flooding(bits=4, numbers=2000)
    found, error = decrypt_to_share(key, x, flooding)
    assert error >= x.error * 2**flooding.bits * flooding.numbers
    # Uniform on [-error, error]: a tenth of 2000 numbers in each of ten bins, within 8 standard deviations.
    counts, _ = np.histogram(found, 10, (-error, error))
    assert np.abs(counts - 200).max() < 8 * np.sqrt(2000 * 0.1 * 0.9)


def test_integers_may_be_shown():
    key = shallow_bfv()
    assert decrypt_to_share(key, encrypt(key.public, [1, 2]), None)[0].tolist() == [1, 2]
