"""Every function of the library says what it promises, in its docstring and as data."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from worlds import World, equal

from tacit.foundation.errors import ConfigError
from tacit.primitive.mpc.function import FUNCTIONS, contract_of
from tacit.primitive.mpc.function.contract import EXACT, absolute, contract, interval, magnitude, relative, ulps


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_function_states_its_contract(name):
    function = FUNCTIONS[name]
    promise = contract_of(function)
    assert FUNCTIONS[promise.name] is function
    assert inspect.iscoroutinefunction(inspect.unwrap(function))
    text = inspect.getdoc(function)
    for section in ("Reveals:", "Costs:"):
        assert re.search(rf"{section} \S", text), f"{name} has no line {section}"
    assert promise.summary.endswith((".", ":", ",", ";")), promise.summary
    named = [p for p in inspect.signature(promise.error.limit).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    operands = [np.ones(3)] * max(1, len(named) - 2)
    assert np.all(np.asarray(promise.error.limit(18, np.ones(3), *operands)) >= 0)
    if promise.domain.limits is not None:
        assert all(low < high for low, high in promise.domain.limits(18))


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_what_is_revealed_is_said_in_both_places(name):
    promise = contract_of(FUNCTIONS[name])
    nothing = "Reveals: nothing" in re.sub(r"\s+", " ", inspect.getdoc(FUNCTIONS[name]))
    assert nothing == (promise.reveals == "nothing")


def test_bounds_and_domains_are_functions_of_the_bits():
    assert ulps(2).limit(10, None) == 2 * 2.0**-10
    assert absolute(0.5, 1).limit(10, None) == 0.5 + 2.0**-10
    equal(relative(0.25).limit(10, np.array([-8.0, 4.0])), [2, 1])
    assert EXACT.limit(10, None) == 0
    assert magnitude(62, 2).limits(18) == ((-(2.0**26), 2.0**26),)
    assert (magnitude(62, 2).text, magnitude(62, 1).text) == ("|x| < 2**(62 - 2 * bits)", "|x| < 2**(62 - bits)")
    assert interval(-1, 2).limits(7) == ((-1, 2),)


def test_a_function_without_a_contract_is_refused():
    async def bare(k):
        """Do nothing."""

    with pytest.raises(ConfigError, match="bare"):
        contract_of(bare)
    assert contract_of(contract()(bare)).summary == "Do nothing."


def test_a_contract_costs_no_call(world: World):
    assert world.run(FUNCTIONS["add"], np.ones(2), np.ones(2)).profile.rounds == 0
    assert FUNCTIONS["add"].__name__ == "add"
    assert not hasattr(FUNCTIONS["add"], "__wrapped__")
