"""Rounds are the longest chain, also where the operand that arrived last in the schedule was not the deepest."""

import jax
import numpy as np

import tacit


def test_a_step_waits_for_its_deepest_operand():
    spec = jax.ShapeDtypeStruct((4,), np.float32)

    def deep_and_shallow(x, n):
        a = x * x  # inputs are open: one round; every further product opens its operand and truncates: two
        a = a * x
        a = a * x
        b = n * n
        for _ in range(3):
            b = b * n
        return (a + b) * x

    # b is the longer chain: 1 + 3 * 2, then the sum is opened and multiplied
    assert tacit.cost(deep_and_shallow, spec, spec).rounds == 9


def test_both_orders_of_the_operands_cost_the_same():
    spec = jax.ShapeDtypeStruct((4,), np.float32)

    def chain(x, length):
        y = x
        for _ in range(length):
            y = y * x
        return y

    one = tacit.cost(lambda x, y: (chain(x, 2) + chain(y, 5)) * x, spec, spec).rounds
    other = tacit.cost(lambda x, y: (chain(x, 5) + chain(y, 2)) * x, spec, spec).rounds
    assert one == other == 1 + 4 * 2 + 2
