"""The HE device beside NumPy, and its ways to and from the other devices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tacit
from tacit import MPC, Session
from tacit.device.he import HE, Cipher
from tacit.foundation.errors import (
    CiphertextOverflow,
    ConfigError,
    FixedPointOverflow,
    InputError,
    KeyMismatch,
    NodeCancelled,
    PolicyError,
    SecrecyError,
    ShapeError,
    TacitError,
    UnsupportedOperation,
)
from tacit.foundation.ledger import verify
from tacit.primitive.mpc.protocol import Assisted, Replicated

X = np.array([[1.5, -2.25, 0.5], [4.0, 0.0, -100.125]])
W = np.array([[0.5, -1.0], [2.0, 0.25], [-3.0, 1.0]])


@pytest.fixture(scope="module")
def he(session: Session) -> HE:
    """Alice holds the key, Bob computes."""
    return session.he(key_holder="alice", evaluators=["bob", "carol"])


@pytest.fixture
def decrypt(session: Session) -> Any:
    """A function that decrypts at Alice."""

    def decrypt(cipher: Cipher) -> np.ndarray:
        alice = session.plain("alice")
        return alice.get(cipher.to(alice, because="a test"))

    return decrypt


OPERATIONS: dict[str, Any] = {
    "add": lambda a: a + a,
    "add public": lambda a: a + X,
    "radd": lambda a: 2.5 + a,
    "sub": lambda a: a - a[0],
    "rsub": lambda a: 1.0 - a,
    "neg": lambda a: -a,
    "mul": lambda a: a * X,
    "rmul": lambda a: -3 * a,
    "matmul": lambda a: a @ W,
    "rmatmul": lambda a: np.array([[1.0, -2.0], [0.5, 0.25]]) @ a,
    "vector": lambda a: a[1] @ np.array([1.0, 2.0, 3.0]),
    "sum": lambda a: a.sum(),
    "sum axis": lambda a: a.sum(1),
    "row": lambda a: a[1],
    "column": lambda a: a[:, -1],
    "step": lambda a: a[..., ::-2],
    "fancy": lambda a: a[np.array([1, 0, 1]), 2],
    "reshape": lambda a: a.reshape(3, 2),
    "flat": lambda a: a.reshape(-1),
    "transpose": lambda a: a.T,
    "chain": lambda a: (a @ W - 1.5).sum(0) * 2,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_those_of_numpy(session: Session, he: HE, decrypt: Any, name: str) -> None:
    cipher = he.encrypt(session.plain("alice").put(X), magnitude=1024)
    result = OPERATIONS[name](cipher)
    expected = OPERATIONS[name](X)
    assert (result.shape, result.at) == (expected.shape, "bob")
    assert not result.held, "an operation is a node of the graph"
    np.testing.assert_allclose(decrypt(result), expected, atol=1e-5, rtol=1e-6)


def test_integers_are_exact(session: Session, he: HE, decrypt: Any) -> None:
    numbers = np.array([2**40, -7, 0])
    cipher = session.plain("bob").put(numbers).to(he)
    np.testing.assert_array_equal(decrypt(cipher * 3 - 1), numbers * 3 - 1)
    assert decrypt(cipher).dtype == np.int64


def test_an_evaluators_own_numbers_stay_its_own(session: Session, he: HE, decrypt: Any) -> None:
    bob = session.plain("bob")
    cipher = he.encrypt(session.plain("alice").put(X), magnitude=1024)
    product = cipher.matmul(bob.put(W), magnitude=4.0)
    left = bob.put(np.array([[2.0, -1.0]])) @ cipher
    np.testing.assert_allclose(decrypt(product), X @ W, atol=1e-5)
    np.testing.assert_allclose(decrypt(left), [[2.0, -1.0]] @ X, atol=1e-5)
    with pytest.raises(InputError, match="is not at bob"):
        cipher * session.plain("alice").put(X)


def test_histograms(session: Session, he: HE, decrypt: Any) -> None:
    gradients = np.array([[0.5, 1.0], [-0.25, 2.0], [0.125, 3.0], [1.0, 4.0]])
    buckets = np.array([[0, 2], [1, 2], [0, -1], [1, 0]])
    cipher = he.encrypt(session.plain("alice").put(gradients), magnitude=8)
    table = he.feature_wise_bucket_sum(cipher, session.plain("bob").put(buckets), 3)
    expected = np.zeros((2, 3, 2))
    for i, f in np.ndindex(4, 2):
        if buckets[i, f] >= 0:
            expected[f, buckets[i, f]] += gradients[i]
    np.testing.assert_allclose(decrypt(table), expected, atol=1e-6)


def test_from_one_evaluator_to_another(session: Session, he: HE, decrypt: Any) -> None:
    cipher = he.encrypt(session.plain("alice").put(X))
    there = cipher.send("carol")
    assert there.at == "carol"
    np.testing.assert_allclose(decrypt(there * 2.0), X * 2, atol=1e-5)
    with pytest.raises(InputError, match=r"bring it there with x.send\('bob'\)"):
        cipher + there
    joined = he.concatenate([cipher, there.send("bob")], axis=1)
    np.testing.assert_allclose(decrypt(joined), np.concatenate([X, X], 1), atol=1e-5)


def test_the_key_holder_learns_what_is_written_down(session: Session, he: HE) -> None:
    alice = session.plain("alice")
    cipher = he.encrypt(alice.put(X))
    with pytest.raises(InputError, match="would learn"):
        cipher.to(alice)
    with pytest.raises(ConfigError, match="decrypts at alice only"):
        cipher.to(session.plain("bob"), because="curious")
    alice.get(cipher.to(alice, because="the result of the study"))
    for party in ("alice", "bob"):
        last = list(verify(session.ledger(party)))[-1]
        assert (last["kind"], last["to"], last["because"]) == ("reveal", ["alice"], "the result of the study")
        assert last["line"].startswith("test_he.py:")


# --- conversions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", [Assisted(), Replicated(), Assisted(fraction_bits=22, exact=True)])
@pytest.mark.parametrize("data", [X, np.array([5, -(2**30)]), np.zeros((0, 2)), np.array(-1.25)])
def test_there_and_back(session: Session, he: HE, decrypt: Any, protocol: Any, data: np.ndarray) -> None:
    mpc = session.mpc(protocol)
    secret = he.encrypt(session.plain("alice").put(data), magnitude=2.0**31).to(mpc)
    np.testing.assert_allclose(tacit.reveal(secret, to="carol", because="a test"), data, atol=1e-4)
    cipher = (secret + secret).to(he)
    assert cipher.at in ("bob", "carol")
    np.testing.assert_allclose(decrypt(cipher - data), data, atol=1e-3)
    again = (cipher * 2).to(mpc)
    np.testing.assert_allclose(tacit.reveal(again, to="bob", because="a test"), data * 4, atol=1e-3)


def test_products_gain_fraction_bits_and_come_back_at_those_of_the_device(session: Session, mpc: MPC, he: HE) -> None:
    small = X / 64
    cipher = he.encrypt(session.plain("alice").put(small), magnitude=2, fraction_bits=16)
    product = cipher.multiply(small, fraction_bits=16)
    np.testing.assert_allclose(tacit.reveal(product.to(mpc), to="bob", because="a test"), small * small, atol=2.0**-15)


def test_what_the_key_holder_decrypts_on_the_way_is_noise(session: Session, he: HE) -> None:
    """The mask is 40 bits longer than the value: equal values give parts that have nothing in common."""
    mpc = session.mpc()
    cipher = he.encrypt(session.plain("alice").put(np.zeros(2000)), magnitude=1.0)
    masked = session.new_id(), session.new_id()
    facts = session.call(he.request("bob", "he.mask", [cipher.result().id], list(masked), {}))["bob"][0]
    part = session.ask(["bob"], "get", {"id": masked[1]})["bob"][1][0]
    assert part.dtype == np.uint64
    counts = np.bincount((part >> np.uint64(58)).astype(int), minlength=64)
    assert ((counts - 2000 / 64) ** 2 / (2000 / 64)).sum() < 160  # chi-square with 63 degrees: 1e-9 at 150
    assert set(facts["facts"]["header"]) == {
        "format", "version", "key", "shape", "dtype", "fraction_bits", "bound", "packing",
    }  # fmt: skip
    assert mpc.names


def test_an_overflow_is_refused_before_it_happens_and_costs_nobody_else(session: Session, he: HE, decrypt: Any) -> None:
    cipher = he.encrypt(session.plain("alice").put(X))
    deep = cipher
    for _ in range(40):
        deep = deep * 2.0**40
    beside = cipher + 1
    after = deep + 1
    with pytest.raises(CiphertextOverflow) as caught:
        session.run(after, beside)
    assert any("'mul' on HE(paillier: key of alice, computed by bob, carol)" in note for note in caught.value.__notes__)
    assert beside.held
    with pytest.raises(NodeCancelled):
        session.run(after)
    np.testing.assert_allclose(decrypt(beside), X + 1, atol=1e-5)
    with pytest.raises(FixedPointOverflow):
        session.run(he.encrypt(session.plain("bob").put(X), magnitude=2.0))


def test_a_garbled_ciphertext_is_refused(session: Session, he: HE) -> None:
    cipher = he.encrypt(session.plain("bob").put(X)).result()
    octets, made = session.new_id(), session.new_id()
    facts = session.call(he.request("bob", "he.dump", [cipher.id], [octets], {"ring": False, "reveal": None}))["bob"][0]
    sent = session.ask(["bob"], "get", {"id": octets})["bob"][1][0]
    header = facts["facts"]["header"]
    carol = session.plain("carol")
    for change in (np.zeros_like(sent), np.full_like(sent, 255), sent[:-1]):
        value = carol.put(change.astype(np.int64))
        bytes_there = carol(lambda a: a.astype("uint8"))(value)
        session.run(bytes_there)
        with pytest.raises(tacit.foundation.errors.TacitError):
            session.call(he.request("carol", "he.load", [bytes_there.id], [made], {"header": header}))
    with pytest.raises(KeyMismatch):
        session.call(he.request("bob", "he.open", [octets], [made], {"header": header, "ring": False, "reveal": {}}))


def test_misuse(session: Session, mpc: MPC, he: HE) -> None:
    cipher = he.encrypt(session.plain("bob").put(X))
    with pytest.raises(SecrecyError, match="no truth value"):
        bool(cipher)
    with pytest.raises(ShapeError):
        cipher @ X
    with pytest.raises(ShapeError):
        cipher + np.ones((4, 4))
    with pytest.raises(ShapeError):
        cipher[5]
    with pytest.raises(ConfigError, match="a key holder and at least one other party"):
        session.he(key_holder="alice", evaluators=["alice"])
    with pytest.raises(ConfigError, match="no party 'dave'"):
        session.he(key_holder="alice", evaluators=["dave"])
    with pytest.raises(InputError, match="truth value"):
        (mpc.share(session.plain("alice").put(X)) > 0).to(he)
    with pytest.raises(InputError, match=r"bring it here with x.to\(mpc\)"):
        mpc(lambda a: a + 1)(cipher)


def test_elgamal_for_small_numbers(session: Session) -> None:
    he = session.he(key_holder="bob", evaluators=["alice"], scheme="ec-elgamal")
    bob = session.plain("bob")
    votes = he.encrypt(bob.put(np.array([1, 0, 1, 1])), magnitude=1)
    total = votes.sum()
    assert bob.get(total.to(bob, because="the count")) == 3


def test_okamoto_uchiyama_decrypts_to_shares_only(session: Session, mpc: MPC) -> None:
    he = session.he(key_holder="alice", evaluators=["bob"], scheme="okamoto-uchiyama")
    cipher = he.encrypt(session.plain("bob").put(X), magnitude=128) * 2
    with pytest.raises(PolicyError, match="shows no decryptions"):
        cipher.to(session.plain("alice"), because="curious")
    np.testing.assert_allclose(tacit.reveal(cipher.to(mpc), to="carol", because="a test"), X * 2, atol=1e-4)


def test_real_numbers_packed_by_ckks(session: Session, mpc: MPC) -> None:
    he = session.he(key_holder="alice", evaluators=["bob", "carol"], scheme="ckks", levels=3)
    alice = session.plain("alice")
    with pytest.raises(InputError, match="needs a public bound"):
        alice.put(X).to(he)
    cipher = he.encrypt(alice.put(X / 100), magnitude=2.0)
    computed = ((cipher * cipher - 0.5).sum(0)).send("carol").polynomial([1.0, 0.0, 0.5])
    squares = ((X / 100) ** 2 - 0.5).sum(0)
    opened = alice.get(computed.to(alice, because="a test"))
    np.testing.assert_allclose(opened, 1 + 0.5 * squares**2, atol=1e-3)
    weights = session.plain("bob").put(W)
    np.testing.assert_allclose(alice.get((cipher @ weights).to(alice, because="a test")), X / 100 @ W, atol=1e-3)
    with pytest.raises(UnsupportedOperation, match="go to and from plain devices only"):
        cipher.to(mpc)
    deep = cipher
    for _ in range(6):
        deep = deep * cipher
    with pytest.raises(TacitError, match="level"):
        session.run(deep)


def test_integers_packed_by_bfv(session: Session) -> None:
    he = session.he(key_holder="bob", evaluators=["alice"], scheme="bfv", multiplications=1, plain_bits=30)
    bob = session.plain("bob")
    numbers = np.array([3, -4, 500])
    cipher = he.encrypt(bob.put(numbers), magnitude=1000)
    np.testing.assert_array_equal(bob.get((cipher * cipher + 1).to(bob, because="a test")), numbers**2 + 1)
    assert bob.get(cipher.dot(np.array([1, 2, 3])).to(bob, because="a test")) == 3 - 8 + 1500


def test_additive_schemes_multiply_no_ciphertexts(session: Session, he: HE) -> None:
    cipher = he.encrypt(session.plain("bob").put(X))
    for operation in (
        lambda: cipher * cipher,
        lambda: cipher.polynomial([0, 1]),
        cipher.mean,
        lambda: cipher.dot(cipher),
    ):
        with pytest.raises(UnsupportedOperation, match="ckks"):
            operation()
