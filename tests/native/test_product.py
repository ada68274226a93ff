"""The native ring products against NumPy, which wraps modulo 2^64 too, on every instruction set the machine has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tacit import _native

U64 = np.uint64
ISAS = ["portable", "avx2", "avx512"]
LAYOUTS = ["plain", "transposed", "sliced", "reversed", "column"]

# The fixture only chooses a path; it holds nothing that an example could spoil for the next.
examples = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(
    params=[(isa, threads) for isa in ISAS for threads in (1, 2)], ids=lambda p: f"{p[0]}-{p[1]}", autouse=True
)
def path(request: pytest.FixtureRequest) -> Iterator[str]:
    isa, threads = request.param
    before = _native.isa(), _native.threads()
    try:
        _native.set_isa(isa)
    except ValueError:
        pytest.skip(f"this processor has no {isa}")
    _native.set_threads(threads)
    yield isa
    _native.set_isa(before[0])
    _native.set_threads(before[1])


def words(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 2**64, size=shape, dtype=U64)


def laid_out(rng: np.random.Generator, layout: str, rows: int, columns: int) -> np.ndarray:
    """A random matrix whose memory is arranged as `layout` says."""
    if layout == "transposed":
        return words(rng, columns, rows).T
    if layout == "sliced":
        return words(rng, 2 * rows, 3 * columns + 1)[::2, 1::3]
    if layout == "reversed":
        return words(rng, rows, columns)[::-1, ::-1]
    if layout == "column":
        return np.broadcast_to(words(rng, rows, 1), (rows, columns))
    return words(rng, rows, columns)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return np.matmul(a, b)


sizes = st.integers(1, 40) | st.sampled_from([0, 1, 2, 3, 4, 7, 8, 9, 12, 13, 23, 24, 25, 64, 65])
layouts = st.sampled_from(LAYOUTS)
seeds = st.integers(0, 2**32 - 1)


@examples
@given(m=sizes, k=sizes, n=sizes, left=layouts, right=layouts, accumulate=st.sampled_from([0, 1, -1]), seed=seeds)
def test_matmul(m, k, n, left, right, accumulate, seed):
    rng = np.random.default_rng(seed)
    a, b, out = laid_out(rng, left, m, k), laid_out(rng, right, k, n), words(rng, m, n)
    expected = {0: product(a, b), 1: out + product(a, b), -1: out - product(a, b)}[accumulate]
    _native.matmul(a, b, out, accumulate)
    np.testing.assert_array_equal(out, expected)


def test_matmul_is_exact_over_python_integers():
    rng = np.random.default_rng(2)
    a, b, out = words(rng, 11, 9), words(rng, 9, 26), np.empty((11, 26), U64)
    _native.matmul(a, b, out)
    np.testing.assert_array_equal(out, (a.astype(object) @ b.astype(object) % 2**64).astype(U64))


@pytest.mark.parametrize("layout", [(left, right) for left in LAYOUTS[:2] for right in LAYOUTS[:2]], ids="-".join)
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [
        (200, 300, 210),  # several row and depth blocks
        (33, 20, 1700),  # several column blocks
        (1, 700, 3000),
        (3000, 700, 1),
        (3, 20_000, 2),
        (700, 1, 600),
        (13, 2100, 30),
        (2100, 40, 9),
    ],
)
def test_matmul_of_every_regime(m, k, n, layout):
    rng = np.random.default_rng(m * n)
    a, b, out = laid_out(rng, layout[0], m, k), laid_out(rng, layout[1], k, n), words(rng, m, n)
    expected = out - product(a, b)
    _native.matmul(a, b, out, -1)
    np.testing.assert_array_equal(out, expected)


@examples
@given(
    batch=st.integers(0, 5),
    m=sizes,
    k=sizes,
    n=sizes,
    shared=st.sampled_from(["none", "left", "right", "flat"]),
    seed=seeds,
)
def test_matmul_of_stacks(batch, m, k, n, shared, seed):
    rng = np.random.default_rng(seed)
    a = np.broadcast_to(words(rng, m, k), (batch, m, k)) if shared == "left" else words(rng, batch, m, k)
    b = np.broadcast_to(words(rng, k, n), (batch, k, n)) if shared == "right" else words(rng, batch, k, n)
    if shared == "flat":
        b = words(rng, n, k).T
    out = words(rng, batch, m, n)
    expected = out + product(a, b)
    _native.matmul(a, b, out, 1)
    np.testing.assert_array_equal(out, expected)


def test_large_stack_is_shared_among_threads():
    rng = np.random.default_rng(3)
    a, b, out = words(rng, 7, 70, 90), words(rng, 7, 80, 90).swapaxes(1, 2), np.empty((7, 70, 80), U64)
    _native.matmul(a, b, out)
    np.testing.assert_array_equal(out, product(a, b))


@examples
@given(
    m=sizes,
    k=sizes,
    n=sizes,
    j=sizes,
    accumulate=st.sampled_from([0, 1, -1]),
    signs=st.tuples(*[st.sampled_from([1, -1])] * 2),
    seed=seeds,
)
def test_matmul_pair(m, k, n, j, accumulate, signs, seed):
    rng = np.random.default_rng(seed)
    a, b, c, d, out = words(rng, m, k), words(rng, k, n), words(rng, m, j), words(rng, n, j).T, words(rng, m, n)
    with np.errstate(over="ignore"):
        both = U64(signs[0] % 2**64) * product(a, b) + U64(signs[1] % 2**64) * product(c, d)
        expected = {0: both, 1: out + both, -1: out - both}[accumulate]
    _native.matmul_pair(a, b, c, d, out, accumulate, sign_ab=signs[0], sign_cd=signs[1])
    np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(
    ("a", "b", "out", "says"),
    [
        ((3, 4), (5, 6), (3, 6), r"4 columns on the left, 5 rows"),
        ((3, 4), (4, 6), (6, 3), r"3 x 6 results"),
        ((3,), (3, 2), (1, 2), r"a \(3,\)"),
        ((2, 3, 4), (4, 6), (3, 6), r"a \(2, 3, 4\)"),
        ((2, 3, 4), (4, 6), (3, 3, 6), r"stack of 3"),
        ((3, 4), (4, 6), (1, 1, 3, 6), r"2 or 3 axes, not 4"),
    ],
)
def test_matmul_refuses_wrong_shapes(a, b, out, says):
    with pytest.raises(ValueError, match=says):
        _native.matmul(np.zeros(a, U64), np.zeros(b, U64), np.zeros(out, U64))


def test_matmul_refuses_what_it_could_only_do_wrong():
    square = np.ones((4, 4), U64)
    with pytest.raises(ValueError, match="shares memory with a"):
        _native.matmul(square, np.ones((4, 4), U64), square)
    with pytest.raises(ValueError, match="shares memory with b"):
        _native.matmul(np.ones((4, 4), U64), square[::-1], square)
    with pytest.raises(ValueError, match="C-contiguous"):
        _native.matmul(square, square, np.ones((4, 8), U64)[:, ::2])
    with pytest.raises(ValueError, match="accumulate must be"):
        _native.matmul(square, square, np.ones((4, 4), U64), 2)
    with pytest.raises(ValueError, match="sign_cd must be 1 or -1, not 0"):
        _native.matmul_pair(square, square, square, square, np.ones((4, 4), U64), sign_cd=0)
    misaligned = np.frombuffer(bytearray(136), np.uint8)[1:129].view(U64).reshape(4, 4)
    with pytest.raises(ValueError, match="multiple of 8 bytes"):
        _native.matmul(misaligned, square, np.ones((4, 4), U64))
    with pytest.raises(TypeError):
        _native.matmul(square.astype(np.int64), square, np.ones((4, 4), U64))


def test_matmul_reads_but_never_writes_a_read_only_array():
    square = np.ones((4, 4), U64)
    square.setflags(write=False)
    out = np.empty((4, 4), U64)
    _native.matmul(square, square, out)
    assert (out == 4).all()
    with pytest.raises(TypeError):
        _native.matmul(out, out, square)


# ---- convolution ----------------------------------------------------------------------------------------------------


def result_length(image: int, kernel: int, stride: int, pads: tuple[int, int], dilation: int) -> int:
    return (image + sum(pads) - (kernel - 1) * dilation - 1) // stride + 1


def slow_terms(x, k_shape, out_shape, stride, pads, dilation, groups):
    """Every (output place, kernel element, input pixel) that meet: the definition, once for all three functions."""
    for oy in range(out_shape[1]):
        for ox in range(out_shape[2]):
            for u in range(k_shape[0]):
                for v in range(k_shape[1]):
                    iy = oy * stride[0] + u * dilation[0] - pads[0][0]
                    ix = ox * stride[1] + v * dilation[1] - pads[1][0]
                    if not (0 <= iy < x[1] and 0 <= ix < x[2]):
                        continue
                    for group in range(groups):
                        channels = slice(group * k_shape[2], (group + 1) * k_shape[2])
                        width = k_shape[3] // groups
                        yield oy, ox, u, v, iy, ix, channels, slice(group * width, (group + 1) * width)


convolutions = st.fixed_dictionaries(
    {
        "n": st.integers(1, 3),
        "size": st.tuples(st.integers(1, 9), st.integers(1, 11)),
        "kernel": st.tuples(st.integers(1, 3), st.integers(1, 4)),
        "channels": st.sampled_from([1, 2, 3, 7, 8, 9, 17]),
        "outputs": st.sampled_from([1, 2, 5, 8, 9, 26]),
        "groups": st.sampled_from([1, 1, 2, 3]),
        "stride": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "dilation": st.tuples(st.integers(1, 2), st.integers(1, 3)),
        "pads": st.tuples(*[st.tuples(st.integers(-1, 3), st.integers(-1, 3))] * 2),
        "accumulate": st.sampled_from([0, 1, -1]),
        "seed": seeds,
    }
)


@examples
@given(c=convolutions)
def test_convolution_and_its_gradients(c):
    rng = np.random.default_rng(c["seed"])
    lengths = [
        result_length(*axis) for axis in zip(c["size"], c["kernel"], c["stride"], c["pads"], c["dilation"], strict=True)
    ]
    reach = [(k - 1) * d + 1 for k, d in zip(c["kernel"], c["dilation"], strict=True)]
    padded = [size + sum(pads) for size, pads in zip(c["size"], c["pads"], strict=True)]
    x = words(rng, c["n"], *c["size"], c["channels"] * c["groups"])
    k = words(rng, *c["kernel"], c["channels"], c["outputs"] * c["groups"])
    arguments = (*c["stride"], *c["pads"][0], *c["pads"][1], *c["dilation"], c["groups"], c["accumulate"])
    if any(size < least for size, least in zip(padded, reach, strict=True)):
        with pytest.raises(ValueError, match="padded image has"):
            _native.conv2d(x, k, np.empty((c["n"], 1, 1, k.shape[3]), U64), *arguments)
        return
    g = words(rng, c["n"], *lengths, k.shape[3])
    y, dx, dk = np.zeros_like(g), np.zeros_like(x), np.zeros_like(k)
    terms = slow_terms(x.shape, k.shape, g.shape, c["stride"], c["pads"], c["dilation"], c["groups"])
    for oy, ox, u, v, iy, ix, i, o in terms:
        y[:, oy, ox, o] += product(x[:, iy, ix, i], k[u, v, :, o])
        dx[:, iy, ix, i] += product(g[:, oy, ox, o], k[u, v, :, o].T)
        dk[u, v, :, o] += product(x[:, iy, ix, i].T, g[:, oy, ox, o])
    for compute, operands, result in (
        (_native.conv2d, (x, k), y),
        (_native.conv2d_input_grad, (g, k), dx),
        (_native.conv2d_kernel_grad, (x, g), dk),
    ):
        out = words(rng, *result.shape)
        expected = {0: result, 1: out + result, -1: out - result}[c["accumulate"]]
        compute(*operands, out, *arguments)
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize(("channels", "outputs", "stride"), [(24, 30, 1), (3, 32, 2), (40, 8, 2)])
def test_convolution_large_enough_for_threads(channels, outputs, stride):
    rng = np.random.default_rng(channels)
    x, k = words(rng, 4, 30, 28, channels), words(rng, 3, 3, channels, outputs)
    lengths = [result_length(size, 3, stride, (1, 1), 1) for size in (30, 28)]
    g = words(rng, 4, *lengths, outputs)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y, dpadded, dk = np.zeros_like(g), np.zeros_like(padded), np.zeros_like(k)
    for u in range(3):
        for v in range(3):
            window = np.s_[:, u : u + stride * lengths[0] : stride, v : v + stride * lengths[1] : stride]
            seen = padded[window][:, : lengths[0], : lengths[1]]
            y += product(seen, k[u, v])
            dpadded[window][:, : lengths[0], : lengths[1]] += product(g, k[u, v].T)
            dk[u, v] += product(seen.reshape(-1, channels).T, g.reshape(-1, outputs))
    geometry = (stride, stride, 1, 1, 1, 1)
    for compute, operands, result in (
        (_native.conv2d, (x, k), y),
        (_native.conv2d_input_grad, (g, k), dpadded[:, 1:-1, 1:-1]),
        (_native.conv2d_kernel_grad, (x, g), dk),
    ):
        out = np.empty(result.shape, U64)
        compute(*operands, out, *geometry)
        np.testing.assert_array_equal(out, result)


def test_convolution_of_nothing():
    out = np.ones((0, 3, 3, 2), U64)
    _native.conv2d(np.ones((0, 3, 3, 4), U64), np.ones((1, 1, 4, 2), U64), out)
    kernel = np.ones((1, 1, 4, 2), U64)
    _native.conv2d_kernel_grad(np.ones((0, 3, 3, 4), U64), out, kernel)
    assert not kernel.any()
    result = np.ones((2, 3, 3, 2), U64)
    _native.conv2d(np.ones((2, 3, 3, 0), U64), np.ones((1, 1, 0, 2), U64), result)
    assert not result.any()


@pytest.mark.parametrize(
    ("x", "k", "out", "extra", "says"),
    [
        ((1, 5, 5, 4), (3, 3, 4, 2), (1, 3, 4, 2), {}, r"out \(1, 3, 4, 2\) must have the shape \(1, 3, 3, 2\)"),
        ((1, 5, 5, 4), (3, 3, 3, 2), (1, 3, 3, 2), {}, r"needs 3 channels"),
        ((1, 5, 5, 4), (3, 3, 2, 3), (1, 3, 3, 3), {"groups": 2}, r"3 outputs do not divide into 2 groups"),
        ((1, 5, 4), (3, 3, 4, 2), (1, 3, 3, 2), {}, r"x \(1, 5, 4\) must have 4 axes"),
        ((1, 5, 5, 4), (3, 3, 4, 2), (1, 3, 3, 2), {"stride_h": 0}, r"stride_h must be at least 1"),
        ((1, 5, 5, 4), (3, 3, 4, 2), (1, 3, 3, 2), {"pad_left": 2**40}, r"pad_left must be"),
        ((1, 5, 5, 4), (3, 3, 4, 2), (1, 3, 3, 2), {"dil_w": 3}, r"reaches over 7 pixels along its width"),
        ((1, 5, 5, 4), (0, 3, 4, 2), (1, 3, 3, 2), {}, r"no elements along its height"),
        ((1, 5, 5, 4), (3, 3, 4, 2), (1, 3, 3, 2), {"accumulate": 3}, r"accumulate must be"),
    ],
)
def test_convolution_refuses_wrong_shapes(x, k, out, extra, says):
    with pytest.raises(ValueError, match=says):
        _native.conv2d(np.zeros(x, U64), np.zeros(k, U64), np.zeros(out, U64), **extra)


def test_convolution_refuses_views_and_shared_memory():
    x, k, out = np.zeros((1, 5, 5, 4), U64), np.zeros((1, 1, 4, 4), U64), np.zeros((1, 5, 5, 4), U64)
    with pytest.raises(ValueError, match="C-contiguous"):
        _native.conv2d(x.transpose(0, 2, 1, 3), k, out)
    with pytest.raises(ValueError, match="shares memory"):
        _native.conv2d(x, k, x)
