"""How compiled functions are compared with plain JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest

from tacit.compile.check import run_clear
from tacit.compile.front.jax import trace
from tacit.compile.passes import optimise
from tacit.compile.program import Program, validate
from tacit.compile.serialize import dump, load


def compile_for(function: Callable[..., Any], *arguments: Any, passes: bool = True) -> Program:
    """The program of a function all of whose arguments are secret."""
    specs = [jax.ShapeDtypeStruct(np.shape(x), jax.numpy.asarray(x).dtype) for x in arguments]
    program = trace(function, *specs).program
    validate(program)
    return optimise(program) if passes else program


@pytest.fixture(name="compare")
def compare_fixture() -> Callable[..., Program]:
    """Check that a function computes on Ideal what it computes in JAX; the program."""

    def compare(function: Callable[..., Any], *arguments: Any, error: float = 2e-3, passes: bool = True) -> Program:
        arrays = tuple(jax.numpy.asarray(x) for x in arguments)
        program = compile_for(function, *arrays, passes=passes)
        outputs = run_clear(load(dump(program)), [np.asarray(x) for x in arrays])
        wanted = jax.tree.leaves(function(*arrays))
        assert len(outputs) == len(wanted)
        for got, want in zip(outputs, wanted, strict=True):
            assert got.shape == np.shape(want)
            np.testing.assert_allclose(got.astype(np.float64), np.asarray(want, np.float64), rtol=0, atol=error)
        return program

    return compare


@pytest.fixture(name="compiled")
def compiled_fixture() -> Callable[..., Program]:
    """The program of a function all of whose arguments are secret."""
    return compile_for


@pytest.fixture(name="rng")
def rng_fixture() -> np.random.Generator:
    """Numbers that are the same in every run."""
    return np.random.default_rng(20240229)
