"""A party's own device: what it takes in, and functions that run there."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tacit import Session
from tacit.device.plain import as_array
from tacit.foundation.errors import ConfigError, InputError, TacitError

ROWS = [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (ROWS, np.int64),
        (np.float32([1.5, 2.5]), np.float64),
        (np.float16([1.5]), np.float64),
        (np.uint8([1, 255]), np.int64),
        (np.array([True, False]), np.bool_),
        (np.array(2.5), np.float64),
        (np.zeros((0, 3)), np.float64),
        (np.arange(12).reshape(3, 4).T, np.int64),
        (3, np.int64),
        (2.5, np.float64),
        (True, np.bool_),
        (np.array([1.5], ml_dtypes.bfloat16), np.float64),
        (np.ma.masked_array([1, 2], mask=[False, False]), np.int64),
        (jnp.asarray([1.5, 2.5]), np.float64),
        (jnp.asarray([1, 2]), np.int64),
        (jnp.asarray([1.5], jnp.bfloat16), np.float64),
        (pd.Series([1, 2]), np.int64),
        (pd.Series([1.5, None]), np.float64),
        (pd.Series([1, 2], dtype="Int64"), np.int64),
        (pd.Series([1, None], dtype="Int64"), np.float64),
        (pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), np.float64),
        (pa.array([1, 2]), np.int64),
        (pa.array([True, False]), np.bool_),
        (pa.array([1.5, None]), np.float64),
        (pa.chunked_array([[1, 2], [3]]), np.int64),
        (pa.table({"a": [1.0, 2.0], "b": [3.0, 4.0]}), np.float64),
    ],
    ids=lambda value: str(value)[:40] if not isinstance(value, type) else value.__name__,
)
def test_numbers_of_every_kind_are_taken(data: Any, dtype: Any) -> None:
    array = as_array(data)
    assert array.dtype == dtype
    assert array.flags.c_contiguous
    expected = data
    if isinstance(data, pa.Table):
        expected = data.to_pandas().to_numpy()
    elif hasattr(data, "to_pylist"):
        expected = [np.nan if value is None else value for value in data.to_pylist()]
    np.testing.assert_array_equal(array, np.asarray(expected, dtype))
    assert array.shape == np.shape(expected)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.array(["a", "b"]), "dtype <U1 has no numeric meaning"),
        (np.array(["2020-01-01"], "datetime64[D]"), "datetime64"),
        (np.array([1, 2], "timedelta64[s]"), "timedelta64"),
        (np.array([1j]), "complex128"),
        (np.array([b"x"]), "S1"),
        (np.array([(1, 2.0)], "i4,f8"), "has no numeric meaning"),
        ([[1], [2, 3]], "is no array of numbers"),
        ([1, None], "object"),
        (2**70, "object"),
        (np.array([2**63], np.uint64), "9223372036854775808, beyond 63 bits"),
        (np.ma.masked_array([1, 2], mask=[True, False]), "1 entries of the array are masked"),
        (pd.Series(["a", "b"]), "has no numeric meaning"),
        (pd.Series(pd.to_datetime(["2020-01-01"])), "datetime64"),
        (pd.DataFrame({"a": [1], "b": ["x"]}), "object"),
        (pa.array(["a"]), "has no numeric meaning"),
        (pa.table({"a": ["x"]}), "has no numeric meaning"),
        ({"a": 1}, "object"),
        (None, "object"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_has_no_number_is_refused(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        as_array(data)


pytestmark = pytest.mark.multiprocess


@pytest.mark.parametrize(
    "data", [np.arange(6.0).reshape(2, 3), np.array(7), np.zeros((3, 0)), np.array([True]), -5, pd.Series([1.5])]
)
def test_values_come_back_as_they_went(session: Session, data: Any) -> None:
    alice = session.plain("alice")
    value = alice.put(data)
    back = alice.get(value)
    np.testing.assert_array_equal(back, np.asarray(data))
    assert back.shape == value.shape == np.shape(data)
    assert back.dtype == value.dtype
    assert "1.5" not in repr(value)


def test_functions_run_at_the_party_on_double_precision(session: Session) -> None:
    alice = session.plain("alice")
    x = alice.put(np.array([1.0, 1e-12, 3.0]))
    total = alice(lambda v: v.sum())(x)
    assert alice.get(total) == 1.0 + 1e-12 + 3.0
    assert total.dtype == np.float64
    count = alice(lambda v: (v > 0).sum())(x)
    assert alice.get(count) == 3


def test_functions_take_and_return_structures(session: Session) -> None:
    alice = session.plain("alice")
    table = {"x": alice.put(np.arange(3.0)), "y": [alice.put(np.array([2, 1, 0])), np.array([1.0, 1.0, 1.0])]}

    def function(table: Any, scale: float, axis: int) -> Any:
        x, (y, ones) = table["x"], table["y"]
        return {"sum": x * scale + ones, "order": (jnp.argsort(y), y.max(axis)), "flag": x > 1}

    result = alice(function)(table, 2.5, 0)
    assert set(result) == {"sum", "order", "flag"}
    np.testing.assert_array_equal(alice.get(result["sum"]), [1.0, 3.5, 6.0])
    np.testing.assert_array_equal(alice.get(result["order"][0]), [2, 1, 0])
    assert alice.get(result["order"][1]) == 2
    np.testing.assert_array_equal(alice.get(result["flag"]), [False, False, True])


def test_gradients_and_loops_run_at_the_party(session: Session) -> None:
    alice = session.plain("alice")
    x = alice.put(np.array([1.0, 2.0]))
    np.testing.assert_allclose(alice.get(alice(jax.grad(lambda v: (v**3).sum()))(x)), [3.0, 12.0])
    doubled = alice(lambda v: jax.lax.fori_loop(0, 5, lambda _, w: w * 2, v))(x)
    np.testing.assert_allclose(alice.get(doubled), [32.0, 64.0])


def test_a_value_stays_with_its_party(session: Session) -> None:
    alice, bob = session.plain("alice"), session.plain("bob")
    x = alice.put([1.0])
    with pytest.raises(InputError, match=r"lives at alice; bob cannot read it"):
        bob.get(x)
    with pytest.raises(InputError, match=r"lives at alice, not at bob"):
        bob(lambda v: v)(x)
    with pytest.raises(ConfigError, match="no party 'mallory' in this session; there are alice, bob, carol"):
        session.plain("mallory")


def test_errors_at_one_party_leave_the_session_as_it_was(session: Session) -> None:
    alice = session.plain("alice")
    x = alice.put([1.0, 2.0])
    with pytest.raises(InputError, match="alice holds no value 99999"):
        session.ask(["alice"], "get", {"id": 99999})
    with pytest.raises(TacitError, match=r"alice failed with \w+ in 'call'; its log has the trace"):
        session.ask(["alice"], "call", {"inputs": [x.id], "outputs": [1]}, [np.frombuffer(b"no function", np.uint8)])
    with pytest.raises(TacitError, match="no procedure 'absent'"):
        alice.procedure("absent", [x], {}, 1)
    with pytest.raises(InputError, match="parameters of 'procedure' cannot be sent"):
        alice.procedure("absent", [x], {"value": object()}, 1)
    with pytest.raises(InputError, match="<c16"):
        session.ask(["alice"], "get", {"id": x.id}, [np.array([1j])])
    np.testing.assert_array_equal(alice.get(x), [1.0, 2.0])
