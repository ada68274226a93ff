"""Numbers in, words, numbers out: bounds that hold, sums that never wrap, refusals that say why."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacit.foundation.errors import ClipExceeded, ConfigError, ShapeError, TypeMismatch
from tacit.primitive.secagg import Encoding, Layout


def summed(encoding, words):
    """The sum as the server makes it: modulo 256**width."""
    total = np.zeros(encoding.length, encoding.word)
    for one in words:
        total += encoding.unpack(encoding.pack(one))
    return total & total.dtype.type((1 << 8 * encoding.width) - 1)


@given(st.data())
def test_sums_and_means_are_within_the_bound(data):
    n = data.draw(st.integers(1, 9))
    clip = data.draw(st.sampled_from([1.0, 0.3, 100.0, 1e-3]))
    bits = data.draw(st.integers(0, 24))
    numbers = st.floats(-clip, clip)
    encoding = Encoding(Layout.of([0.0] * 4), n, clip=clip, fraction_bits=bits)
    values = np.array([[data.draw(numbers) for _ in range(4)] for _ in range(n)])
    total = summed(encoding, [encoding.encode(list(row)) for row in values])
    assert encoding.within_reach(total, n)
    sums, _ = encoding.decode(total)
    error = np.abs(np.array(sums) - values.sum(0))
    assert (error <= n * encoding.mean_error + 1e-13 * n * clip).all()


@given(st.data())
def test_weighted_means_are_within_the_bound(data):
    n = data.draw(st.integers(1, 9))
    weight_bits = data.draw(st.integers(0, 10))
    encoding = Encoding(
        Layout.of(np.zeros(3)), n, clip=2.0, fraction_bits=12, weight_limit=1000.0, weight_bits=weight_bits
    )
    values = np.array([[data.draw(st.floats(-2, 2)) for _ in range(3)] for _ in range(n)])
    weights = np.array([data.draw(st.floats(1, 1000)) for _ in range(n)])
    total = summed(encoding, [encoding.encode(row, weight) for row, weight in zip(values, weights, strict=True)])
    assert encoding.within_reach(total, n)
    (sums,), weight = encoding.decode(total)
    exact = (weights[:, None] * values).sum(0) / weights.sum()
    of_weights = 2 * encoding.clip * n / weight * 2.0 ** -(weight_bits + 1)
    assert (np.abs(sums / weight - exact) <= encoding.mean_error + of_weights + 1e-12).all()
    # With whole weights the second term is not needed.
    whole = np.rint(weights)
    total = summed(encoding, [encoding.encode(row, w) for row, w in zip(values, whole, strict=True)])
    (sums,), weight = encoding.decode(total)
    assert weight == whole.sum()
    assert (np.abs(sums / weight - (whole[:, None] * values).sum(0) / whole.sum()) <= encoding.mean_error + 1e-12).all()


@given(st.integers(1, 1000), st.integers(1, 2**40), st.integers(1, 100))
def test_the_largest_sums_do_not_wrap(n, limit, weight):
    try:
        encoding = Encoding(Layout.of([0, 0]), n, integer_limit=limit, weight_limit=weight)
    except ConfigError:
        assert 2 * n * limit * weight >= 2**63
        return
    words = encoding.encode([limit, -limit], weight)
    total = (words.astype(np.uint64) * np.uint64(n)).astype(encoding.word) & encoding.word.type(
        (1 << 8 * encoding.width) - 1
    )
    (high, low), weights = encoding.decode(total)
    assert (int(high), int(low), weights) == (n * limit * weight, -n * limit * weight, n * weight)
    assert encoding.within_reach(total, n)
    assert n == 1 or not encoding.within_reach(total, n - 1)


@given(st.integers(1, 8), st.data())
def test_words_travel_in_their_width(width, data):
    encoding = Encoding(Layout.of([0] * 5), 1, integer_limit=2 ** (8 * width - 2))
    assert encoding.width == width
    words = np.array([data.draw(st.integers(0, 256**width - 1)) for _ in range(5)], encoding.word)
    packed = encoding.pack(words)
    assert packed == b"".join(int(word).to_bytes(width, "little") for word in words)
    assert np.array_equal(encoding.unpack(packed), words)
    with pytest.raises(ShapeError):
        encoding.unpack(packed + b"\0")


def test_trees_of_many_types():
    tree = {
        "a": np.ones((2, 3), np.float32),
        "b": [jnp.ones(2, jnp.bfloat16), (np.int8(3), 2)],
        "c": -1.5,
        "d": np.zeros((0, 2)),
    }
    encoding = Encoding(Layout.of(tree), 2, clip=2, integer_limit=300)
    words = encoding.encode(tree)
    assert words.shape == (6 + 2 + 1 + 1 + 1,) == (encoding.length,)
    sums, weights = encoding.decode(summed(encoding, [words, words]))
    assert math.isnan(weights)
    back = encoding.unflatten(sums, tree)
    assert np.array_equal(back["a"], np.full((2, 3), 2.0))
    assert back["b"][1][0] == 6
    assert back["b"][1][1].dtype == np.int64
    assert back["c"] == -3
    assert back["d"].shape == (0, 2)


def test_values_beyond_their_bounds_are_refused_or_clipped_as_was_agreed():
    refusing = Encoding(Layout.of([np.zeros(3), 0]), 2, clip=1.0, integer_limit=1000)
    for tree in (
        [np.array([0, 1.01, 0]), 0],
        [np.array([0, -2.0, 3]), 0],
        [np.zeros(3), 1001],
        [np.zeros(3), np.uint64(2**64 - 1)],
    ):
        with pytest.raises(ClipExceeded, match="Scale them"):
            refusing.encode(tree)
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(ClipExceeded, match=r"1 of 3 numbers .* not finite"):
            refusing.encode([np.array([0, bad, 0]), 0])
    clipping = Encoding(Layout.of([np.zeros(3), 0]), 2, clip=1.0, integer_limit=1000, beyond="clip")
    sums, _ = clipping.decode(clipping.encode([np.array([5, -7, 0.5]), np.uint64(2**64 - 1)]))
    assert sums[0].tolist() == [1, -1, 0.5]
    assert sums[1] == 1000
    with pytest.raises(ClipExceeded, match="not finite"):
        clipping.encode([np.full(3, math.nan), 0])


def test_a_refusal_does_not_say_the_value():
    with pytest.raises(ClipExceeded) as refusal:
        Encoding(Layout.of([0.0]), 2).encode([1234.5])
    assert "1234" not in str(refusal.value)


def test_norms():
    layout = Layout.of({"w": np.zeros((3, 4)), "k": 0})
    refusing = Encoding(layout, 2, clip=10, integer_limit=10**6, norm_bound=5.0)
    refusing.encode({"w": np.full((3, 4), 5 / math.sqrt(12.01)), "k": 10**6})
    with pytest.raises(ClipExceeded, match="the norm"):
        refusing.encode({"w": np.full((3, 4), 1.5), "k": 0})
    scaling = Encoding(layout, 2, clip=10, integer_limit=10**6, norm_bound=5.0, beyond="clip")
    sums, _ = scaling.decode(scaling.encode({"w": np.full((3, 4), 9.0), "k": 7}))
    leaves = dict(zip((leaf.path for leaf in layout.leaves), sums, strict=True))
    assert leaves["['k']"] == 7
    assert np.linalg.norm(leaves["['w']"]) <= scaling.norm_after_rounding
    assert np.linalg.norm(leaves["['w']"]) == pytest.approx(5.0, rel=1e-4)
    assert Encoding(layout, 2, integer_limit=1).norm_after_rounding is None


def test_weights_beyond_their_bounds():
    encoding = Encoding(Layout.of([0.0]), 2, weight_limit=10)
    for weight in (11, -1, math.nan, math.inf):
        with pytest.raises(ClipExceeded):
            encoding.encode([0.5], weight)
    with pytest.raises(ConfigError, match="gives its weight"):
        encoding.encode([0.5])
    with pytest.raises(ConfigError, match="no weight_limit"):
        Encoding(Layout.of([0.0]), 2).encode([0.5], 1)
    clipped = Encoding(Layout.of([0.0]), 2, weight_limit=10, beyond="clip")
    assert clipped.decode(clipped.encode([0.5], 1000))[1] == 10


def test_another_tree_is_refused():
    encoding = Encoding(Layout.of({"a": np.zeros(2), "b": 0.0}), 2)
    for tree in (
        {"a": np.zeros(2)},
        {"a": np.zeros(3), "b": 0.0},
        {"a": np.zeros(2), "c": 0.0},
        {"a": np.zeros(2, int), "b": 0.0},
    ):
        with pytest.raises(ShapeError, match="agreed on"):
            encoding.encode(tree)
    with pytest.raises(TypeMismatch):
        Layout.of(["text"])
    with pytest.raises(TypeMismatch):
        Layout.of([True])


@pytest.mark.parametrize(
    "settings",
    [
        {"clients": 0},
        {"clip": 0},
        {"clip": math.inf},
        {"fraction_bits": -1},
        {"fraction_bits": 51},
        {"clip": 2.0**40},
        {"weight_limit": 0},
        {"weight_limit": math.nan},
        {"norm_bound": 0},
        {"beyond": "ignore"},
        {"clip": 2.0**30, "weight_limit": 2**20},
        {"layout": Layout.of([0])},
        {"layout": Layout.of([])},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(ConfigError):
        Encoding(**{"layout": Layout.of([0.0]), "clients": 100, **settings})


def test_encodings_have_digests_of_their_own():
    base = {"layout": Layout.of([0.0]), "clients": 4}
    same = [
        Encoding(**base, clip=1),
        Encoding(**base, clip=np.float32(1.0)),
        Encoding(**base, fraction_bits=np.int64(16)),
    ]
    assert len({one.digest for one in same}) == 1
    changes = [
        {"clip": 2},
        {"fraction_bits": 15},
        {"integer_limit": 1},
        {"weight_limit": 1},
        {"weight_bits": 1},
        {"beyond": "clip"},
        {"norm_bound": 1},
        {"clients": 5},
        {"layout": Layout.of([0])} | {"integer_limit": 3},
        {"layout": Layout.of(0.0)},
    ]
    digests = {Encoding(**{**base, **change}).digest for change in changes} | {same[0].digest}
    assert len(digests) == len(changes) + 1
