"""The oracle itself: its rounding, its noise, its sentinels, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from three import Factored

from tacit.foundation.errors import DomainError
from tacit.primitive.driver import Driver, gather
from tacit.primitive.mpc.form import Convolve, Elementwise, Geometry, MatMul
from tacit.primitive.mpc.ideal import IdealKernel
from tacit.primitive.prg import Prg
from tacit.primitive.profile import Where

KEY = b"sixteen byte key"


def ring(values):
    return np.asarray(values, np.int64).view(np.uint64)


def done(coroutine):
    """The result of a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the coroutine waited")


def test_truncation_is_the_floor():
    k = IdealKernel()
    x = k.public(ring([7, -7, 2**62 - 1, -(2**62) + 1, 0]))
    np.testing.assert_array_equal(done(k.truncate(x, 2)).ring.view(np.int64), [1, -2, 2**60 - 1, -(2**60), 0])


def test_noise_is_up_with_the_probability_of_the_cut_fraction_and_repeats_with_its_key():
    x = ring(np.full(20_000, 5 * 16 + 4))
    first, again = [
        done(k.truncate(k.public(x), 4)).ring for k in [IdealKernel(Prg(KEY), rounding="noisy") for _ in range(2)]
    ]
    np.testing.assert_array_equal(first, again)
    assert set(first.tolist()) == {5, 6}
    assert abs(first.mean() - 5.25) < 0.02
    whole = IdealKernel(Prg(KEY), rounding="noisy")
    assert set(done(whole.truncate(whole.public(ring(np.full(1000, 80))), 4)).ring.tolist()) == {5}


class Line(Factored):
    """f(u - v) = 3 (u - v), the simplest function that splits."""

    terms, scale = 2, 0

    def left(self, u):
        return np.stack([u, np.ones_like(u)])

    def right(self, v):
        return np.stack([np.full_like(v, 3), np.negative(v) * np.uint64(3)])


def test_separable_functions_go_through_a_mask():
    k = IdealKernel()
    x = ring([[5, -8], [0, 2**40]])
    np.testing.assert_array_equal(done(k.separable(k.public(x), Line())).ring, x * np.uint64(3))


def test_the_driver_counts_the_longest_chain():
    driver = Driver("ideal", {})
    k = IdealKernel(driver=driver)
    x = k.public(ring([1, -2]))

    async def program():
        a, _ = await gather(k.negative(x), k.truncate(x, 1))
        return await k.lift(a)

    assert driver.run(program()).ring.tolist() == [0, 1]
    assert driver.profile.rounds == 2
    assert k.tally == {"negative": 2, "truncate": 2, "lift": 2}


@pytest.mark.parametrize(
    ("build", "size"),
    [
        (lambda k, x: k.product(Elementwise(), x, x), 2.0**80),
        (
            lambda k, x: k.product(MatMul(), k.linear(lambda s: s[None], x), k.linear(lambda s: s[:, None], x)),
            4 * 2.0**80,
        ),
        (
            lambda k, x: k.product(
                Convolve(Geometry()),
                k.linear(lambda s: s.reshape(1, 2, 2, 1), x),
                k.linear(lambda s: s.reshape(2, 2, 1, 1), x),
            ),
            4 * 2.0**80,
        ),
    ],
)
def test_sentinels_see_what_the_ring_has_lost(build, size):
    seen = []
    k = IdealKernel(
        watch=lambda name, line, largest: seen.append((name, line, largest)), where=lambda: Where(3, "mul", "user.py:7")
    )
    x = k.public(ring([2**40] * 4))
    done(build(k, x))
    assert seen[-1][:2] == ("mul", "user.py:7")
    assert seen[-1][2] == pytest.approx(size, rel=1e-5)


def test_sentinels_see_through_linear_maps():
    seen = []
    k = IdealKernel(watch=lambda _name, _line, largest: seen.append(largest))
    x = k.public(ring(np.full(1024, -(2**58))))
    k.linear(lambda s: s.sum(dtype=np.uint64), x)
    assert seen[-1] == 2.0**68
    k.scale(x, ring(2**20))
    assert seen[-1] == 2.0**78
    k.add(x, x)
    assert seen[-1] == 2.0**59
    k.linear(lambda s: s[:0], x)
    assert seen[-1] == 0


def test_shares_at_rest_come_back():
    k = IdealKernel()
    x = k.public(ring([[1, 2]]))
    np.testing.assert_array_equal(k.restore((1, 2), k.dump(x)).ring, x.ring)


def test_what_a_real_protocol_would_refuse_is_refused():
    k = IdealKernel()
    a, x = k.public_bits(np.array([True])), k.public(ring([1, 2]))
    with pytest.raises(DomainError, match="shapes must be equal"):
        done(k.gate(a, x))
    with pytest.raises(DomainError, match="0 to 62"):
        done(k.truncate(x, 63))
    with pytest.raises(DomainError, match="holds no values of bob"):
        done(k.share("bob", (2,), None))
    with pytest.raises(DomainError, match="'floor' or 'noisy'"):
        IdealKernel(rounding="up")
