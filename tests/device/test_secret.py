"""Secret arrays behave as NumPy's do, apart from what would show them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import tacit
from tacit.foundation.errors import InputError, SecrecyError, UnsupportedOperation

pytestmark = pytest.mark.multiprocess

X = np.array([[1.5, -2.25, 3.0], [0.5, 4.0, -1.75]])
Y = np.array([[2.0, 0.5, -1.5], [1.25, -3.0, 2.5]])
POSITIVE = np.array([[0.5, 2.0, 3.0], [1.0, 4.0, 0.25]])
A = np.array([[5, -3, 12], [7, 0, -8]])
B = np.array([[2, 4, -5], [7, 3, 3]])
SMALL = np.array([[1, 2, 3], [0, 4, 2]])
P = np.array([[True, False, True], [False, False, True]])
LIST = [1.0, 2.0, 3.0]
Q = np.array([[True, True, False], [False, True, True]])

EXACT, FINE, COARSE = 0.0, 2.0**-14, 2.0**-8
"""Tolerances: exact, a few units in the last place of 18 fraction bits, that of functions with a stated error."""

TABLE: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...], float]] = {
    # real numbers
    "x + y": (lambda x, y: x + y, (X, Y), EXACT),
    "x - y": (lambda x, y: x - y, (X, Y), EXACT),
    "x * y": (lambda x, y: x * y, (X, Y), FINE),
    "x / y": (lambda x, y: x / y, (X, POSITIVE), COARSE),
    "x // y": (lambda x, y: x // y, (X, np.full_like(X, 0.7)), EXACT),
    "x % y": (lambda x, y: x % y, (X, np.full_like(X, 0.7)), COARSE),
    "x ** 2": (lambda x: x**2, (X,), FINE),
    "x ** 3": (lambda x: x**3, (X,), COARSE),
    "x @ y.T": (lambda x, y: x @ y.T, (X, Y), FINE),
    "-x": (lambda x: -x, (X,), EXACT),
    "+x": (lambda x: +x, (X,), EXACT),
    "abs(x)": (abs, (X,), EXACT),
    "x < y": (lambda x, y: x < y, (X, Y), EXACT),
    "x <= y": (lambda x, y: x <= y, (X, X), EXACT),
    "x > y": (lambda x, y: x > y, (X, Y), EXACT),
    "x >= y": (lambda x, y: x >= y, (X, Y), EXACT),
    "x == y": (lambda x, y: x == y, (X, np.where(P, X, Y)), EXACT),
    "x != y": (lambda x, y: x != y, (X, np.where(P, X, Y)), EXACT),
    # with public operands on either side
    "x + 2": (lambda x: x + 2, (X,), EXACT),
    "2 - x": (lambda x: 2 - x, (X,), EXACT),
    "x * 0.5": (lambda x: x * 0.5, (X,), FINE),
    "3 / x": (lambda x: 3 / x, (POSITIVE,), COARSE),
    "5.5 // x": (lambda x: 5.5 // x, (np.full_like(X, 0.7),), EXACT),
    "2.0 ** x": (lambda x: 2.0**x, (POSITIVE,), COARSE),
    "Y + x": (lambda x: Y + x, (X,), EXACT),
    "Y * x": (lambda x: Y * x, (X,), FINE),
    "Y.T @ x": (lambda x: Y.T @ x, (X,), FINE),
    "x @ Y.T": (lambda x: x @ Y.T, (X,), FINE),
    "x + [list]": (lambda x: x + LIST, (X,), EXACT),
    "[list] - x": (lambda x: LIST - x, (X,), EXACT),
    "np.float64 * x": (lambda x: np.float64(1.5) * x, (X,), FINE),
    "0 < x": (lambda x: x > 0, (X,), EXACT),
    # integers
    "a + b": (lambda a, b: a + b, (A, B), EXACT),
    "a - b": (lambda a, b: a - b, (A, B), EXACT),
    "a * b": (lambda a, b: a * b, (A, B), EXACT),
    "a // b": (lambda a, b: a // b, (A, B), EXACT),
    "a % b": (lambda a, b: a % b, (A, B), EXACT),
    "a ** 3": (lambda a: a**3, (A,), EXACT),
    "a @ b.T": (lambda a, b: a @ b.T, (A, B), EXACT),
    "-a": (lambda a: -a, (A,), EXACT),
    "abs(a)": (abs, (A,), EXACT),
    "~a": (lambda a: ~a, (A,), EXACT),
    "a & b": (lambda a, b: a & b, (A, B), EXACT),
    "a | b": (lambda a, b: a | b, (A, B), EXACT),
    "a ^ b": (lambda a, b: a ^ b, (A, B), EXACT),
    "a << 3": (lambda a: a << 3, (A,), EXACT),
    "a >> 1": (lambda a: a >> 1, (A,), EXACT),
    "a << b": (lambda a, b: a << b, (A, SMALL), EXACT),
    "12 & a": (lambda a: 12 & a, (A,), EXACT),
    "a == b": (lambda a, b: a == b, (A, B), EXACT),
    "a < b": (lambda a, b: a < b, (A, B), EXACT),
    "a + x": (lambda a, x: a + x, (A, X), EXACT),
    "a * x": (lambda a, x: a * x, (A, X), FINE),
    # truth values
    "p & q": (lambda p, q: p & q, (P, Q), EXACT),
    "p | q": (lambda p, q: p | q, (P, Q), EXACT),
    "p ^ q": (lambda p, q: p ^ q, (P, Q), EXACT),
    "~p": (lambda p: ~p, (P,), EXACT),
    "p == q": (lambda p, q: p == q, (P, Q), EXACT),
    "p * x": (lambda p, x: p * x, (P, X), EXACT),
    # indexing and form
    "x[0]": (lambda x: x[0], (X,), EXACT),
    "x[-1, 1]": (lambda x: x[-1, 1], (X,), EXACT),
    "x[:, ::2]": (lambda x: x[:, ::2], (X,), EXACT),
    "x[::-1]": (lambda x: x[::-1], (X,), EXACT),
    "x[..., None]": (lambda x: x[..., None], (X,), EXACT),
    "x[[1, 0, 1]]": (lambda x: x[[1, 0, 1]], (X,), EXACT),
    "x[:, array]": (lambda x: x[:, np.array([2, 0])], (X,), EXACT),
    "x[mask]": (lambda x: x[:, np.array([True, False, True])], (X,), EXACT),
    "x.reshape(3, 2)": (lambda x: x.reshape(3, 2), (X,), EXACT),
    "x.reshape((-1,))": (lambda x: x.reshape((-1,)), (X,), EXACT),
    "x.T": (lambda x: x.T, (X,), EXACT),
    "x.sum()": (lambda x: x.sum(), (X,), EXACT),
    "x.sum(0)": (lambda x: x.sum(0), (X,), EXACT),
    "x.sum(axis=1, keepdims=True)": (lambda x: x.sum(axis=1, keepdims=True), (X,), EXACT),
    "x.mean(axis=0)": (lambda x: x.mean(axis=0), (X,), FINE),
    "x.max()": (lambda x: x.max(), (X,), EXACT),
    "x.max(axis=1)": (lambda x: x.max(axis=1), (X,), EXACT),
    "x.min(axis=0)": (lambda x: x.min(axis=0), (X,), EXACT),
    "p.astype(float)": (lambda p: p.astype(float), (P,), EXACT),
    "x.astype(int)": (lambda x: x.astype(int), (X,), EXACT),
    "a.astype(float)": (lambda a: a.astype(float), (A,), EXACT),
    "a.astype(bool)": (lambda a: a.astype(bool), (A,), EXACT),
    "p.sum()": (lambda p: p.sum(), (P,), EXACT),
    # NumPy's functions
    "np.add": (np.add, (X, Y), EXACT),
    "np.add.reduce": (np.add.reduce, (X,), EXACT),
    "np.maximum.reduce": (lambda x: np.maximum.reduce(x, axis=1), (X,), EXACT),
    "np.sum": (np.sum, (X,), EXACT),
    "np.sum(x, 1)": (lambda x: np.sum(x, 1), (X,), EXACT),
    "np.prod": (lambda x: np.prod(x, axis=1), (X,), COARSE),
    "np.mean": (np.mean, (X,), FINE),
    "np.var": (lambda x: np.var(x, axis=1), (X,), COARSE),
    "np.std": (lambda x: np.std(x, axis=1), (X,), COARSE),
    "np.max": (lambda x: np.max(x, axis=0), (X,), EXACT),
    "np.argmax": (lambda x: np.argmax(x, axis=1), (X,), EXACT),
    "np.argmin": (lambda x: np.argmin(x, axis=1), (X,), EXACT),
    "np.any": (np.any, (P,), EXACT),
    "np.all": (lambda p: np.all(p, axis=0), (P,), EXACT),
    "np.maximum": (np.maximum, (X, Y), EXACT),
    "np.minimum": (np.minimum, (X, Y), EXACT),
    "np.clip": (lambda x: np.clip(x, -1.0, 2.0), (X,), EXACT),
    "np.where": (np.where, (P, X, Y), EXACT),
    "np.concatenate": (lambda x, y: np.concatenate([x, y], axis=1), (X, Y), EXACT),
    "np.stack": (lambda x, y: np.stack([x, y]), (X, Y), EXACT),
    "np.transpose": (lambda x: np.transpose(x, (1, 0)), (X,), EXACT),
    "np.reshape": (lambda x: np.reshape(x, (3, 2)), (X,), EXACT),
    "np.squeeze": (lambda x: np.squeeze(x[:1]), (X,), EXACT),
    "np.broadcast_to": (lambda x: np.broadcast_to(x[0], (4, 3)), (X,), EXACT),
    "np.flip": (np.flip, (X,), EXACT),
    "np.roll": (lambda x: np.roll(x, 1, axis=1), (X,), EXACT),
    "np.tile": (lambda x: np.tile(x, (2, 1)), (X,), EXACT),
    "np.dot": (lambda x, y: np.dot(x, y.T), (X, Y), FINE),
    "np.matmul": (lambda x, y: np.matmul(x, y.T), (X, Y), FINE),
    "np.einsum": (lambda x, y: np.einsum("ij,kj->ik", x, y), (X, Y), FINE),
    "np.outer": (lambda x, y: np.outer(x[0], y[1]), (X, Y), FINE),
    "np.trace": (lambda x, y: np.trace(x @ y.T), (X, Y), FINE),
    "np.linalg.norm": (lambda x: np.linalg.norm(x, axis=1), (X,), COARSE),
    "np.cumsum": (lambda x: np.cumsum(x, axis=1), (X,), EXACT),
    "np.diff": (lambda x: np.diff(x, axis=1), (X,), EXACT),
    "np.sort": (lambda x: np.sort(x, axis=1), (X,), EXACT),
    "np.take": (lambda x: np.take(x, [2, 0], axis=1), (X,), EXACT),
    "np.average": (lambda x, w: np.average(x, axis=1, weights=w), (X, POSITIVE), COARSE),
    "np.abs": (np.abs, (X,), EXACT),
    "np.sign": (np.sign, (X,), EXACT),
    "np.square": (np.square, (X,), FINE),
    "np.floor": (np.floor, (X,), EXACT),
    "np.ceil": (np.ceil, (X,), EXACT),
    "np.exp": (np.exp, (X,), 2.0**-6),
    "np.log": (np.log, (POSITIVE,), COARSE),
    "np.sqrt": (np.sqrt, (POSITIVE,), COARSE),
    "np.reciprocal": (np.reciprocal, (POSITIVE,), COARSE),
    "np.tanh": (np.tanh, (X,), COARSE),
    "np.sin": (np.sin, (X,), COARSE),
    "np.logical_and": (np.logical_and, (P, Q), EXACT),
    "np.logical_not": (np.logical_not, (P,), EXACT),
    "np.array_equal": (np.array_equal, (A, A), EXACT),
    "np.count_nonzero": (np.count_nonzero, (P,), EXACT),
    "np.zeros_like": (np.zeros_like, (X,), EXACT),
}


@pytest.mark.parametrize("name", TABLE)
def test_operators_and_numpy_functions_agree_with_numpy(share: Any, name: str) -> None:
    function, inputs, tolerance = TABLE[name]
    secrets = [share(array, owner) for array, owner in zip(inputs, ("alice", "bob", "carol"), strict=False)]
    result = function(*secrets)
    expected = np.asarray(function(*inputs))
    assert isinstance(result, tacit.Secret)
    assert result.shape == expected.shape
    opened = tacit.reveal(result, to="bob", because=f"test {name}")
    assert opened.dtype.kind == expected.dtype.kind
    if tolerance == EXACT:
        np.testing.assert_allclose(opened, expected, rtol=0, atol=2**-17 if opened.dtype.kind == "f" else 0)
    else:
        np.testing.assert_allclose(opened, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    "look",
    [
        bool,
        float,
        int,
        complex,
        round,
        list(range(3)).__getitem__,
        np.asarray,
        np.array,
        jnp.asarray,
        lambda x: 1 if x > 0 else 2,
        lambda x: not x,
        lambda x: f"{x:.2f}",
        lambda x: x.tolist(),
        lambda x: x.item(),
        lambda x: x in [1.0, 2.0],
        lambda x: max(x, x),
        lambda x: np.add(X[0, 0], x, out=np.zeros(())),
        lambda x: np.zeros(3).__iadd__(x),
        pickle.dumps,
    ],
)
def test_what_would_show_a_secret_is_refused(share: Any, look: Callable[[Any], Any]) -> None:
    with pytest.raises(SecrecyError, match=r"secret"):
        look(share(1.5))


def test_printing_shows_shape_and_place_only(share: Any) -> None:
    x = share(X)
    for text in (repr(x), str(x), f"{x}", f"{x!r}"):
        assert text == "Secret(float32[2, 3] on MPC(assisted: alice, bob, carol))"


def test_shape_and_length_are_public(share: Any) -> None:
    x = share(X)
    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3), 2, 6, 2)
    assert (np.shape(x), np.ndim(x), np.size(x), np.size(x, 1)) == ((2, 3), 2, 6, 3)
    rows = list(x)
    assert [row.shape for row in rows] == [(3,), (3,)]
    np.testing.assert_allclose(tacit.reveal(rows[1], to="bob", because="a row"), X[1])
    scalar = share(1.5)
    with pytest.raises(TypeError, match="iteration over a 0-d secret"):
        iter(scalar)
    with pytest.raises(TypeError, match="0-d secret has no length"):
        len(scalar)


def test_a_secret_is_a_key_by_identity(share: Any) -> None:
    x, y = share(X), share(X)
    assert {x: 1, y: 2}[x] == 1


def test_a_secret_index_picks_without_showing_which(share: Any) -> None:
    x, i = share(X), share(np.array([2, 0]), "bob")
    np.testing.assert_allclose(tacit.reveal(x[1][i], to="alice", because="picked"), X[1][[2, 0]], atol=2**-16)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: x @ x, r"matmul\(Secret.*\) at test_secret.py:\d+"),
        (lambda x: x + np.zeros(7), r"add\(Secret.*float64\[7\]\) at test_secret.py:\d+"),
        (lambda x: x.reshape(5, 5), r"reshape\(.* at test_secret.py:\d+"),
        (lambda x: x[0, 0, 0], r"getitem\(.* at test_secret.py:\d+"),
        (lambda x: x + np.array([2**40, 1, 1]), r"reaches 1099511627776; integers in a program have 32 bits"),
        (lambda x: x + 2**40, r"at test_secret.py:\d+"),
        (lambda x: x + "text", r"at test_secret.py:\d+"),
        (lambda x: x[: share_of(x)], r"a slice of a secret needs public integers"),
    ],
)
def test_wrong_operands_are_named_with_the_users_line(share: Any, wrong: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong(share(X))


def share_of(x: Any) -> Any:
    return x[0, 0].astype(int)


@pytest.mark.parametrize(
    ("construct", "message"),
    [
        (lambda x: x.__setitem__(0, 1.0), "not changed in place"),
        (np.add.accumulate, "np.add.accumulate is not there"),
        (lambda x: np.add(x, 1, where=P), "np.add with where is not there"),
        (lambda x: np.busday_count(x, x), "numpy.busday_count has no counterpart"),
    ],
)
def test_what_has_no_counterpart_is_refused_with_a_way_out(share: Any, construct: Any, message: str) -> None:
    with pytest.raises(UnsupportedOperation, match=message):
        construct(share(X))


def test_refusals_leave_the_session_as_it_was(share: Any) -> None:
    x = share(X)
    for wrong in (bool, lambda x: x @ x, np.add.accumulate):
        with pytest.raises((SecrecyError, InputError, UnsupportedOperation)):
            wrong(x)
    np.testing.assert_allclose(tacit.reveal(x + x, to="alice", because="still there"), X + X)
