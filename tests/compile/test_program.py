"""Programs as values: printing, validity, canonical bytes, refusal of anything else."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from tacit.compile.program import Program, SlotType, Step, validate
from tacit.compile.serialize import MAGIC, digest, dump, load
from tacit.foundation.errors import CompileError

FIXED = SlotType((2,), "fixed", "float32")


def example() -> Program:
    """x * [0.5, 2] + x, then a loop over a body."""
    body = Program((FIXED, FIXED), (0,), {}, (Step("neg", (0,), (1,), {}, "a.py:3"),), (1,))
    public = SlotType((2,), "fixed", "float32", public=True)
    steps = (
        Step("mul", (0, 1), (2,), {"keep": True}, "a.py:1"),
        Step("scan", (2,), (3,), {"length": 3, "consts": 0, "carry": 1, "reverse": False}, "a.py:2", (body,)),
    )
    return Program((FIXED, public, FIXED, FIXED), (0,), {1: np.array([0.5, 2.0])}, steps, (3,))


def test_a_program_reads_like_its_source() -> None:
    assert str(example()) == (
        "program(%0: fixed[2]):\n"
        "  %2: fixed[2] = mul(%0, fixed[2], keep=True)  # a.py:1\n"
        "  %3: fixed[2] = scan(%2, carry=1, consts=0, length=3, reverse=False)  # a.py:2\n"
        "    program(%0: fixed[2]):\n"
        "      %1: fixed[2] = neg(%0)  # a.py:3\n"
        "      return %1\n"
        "  return %3"
    )


def test_bytes_are_canonical() -> None:
    data = dump(example())
    again = load(data)
    validate(again)
    assert dump(again) == data
    assert str(again) == str(example())
    np.testing.assert_array_equal(again.constants[1], [0.5, 2.0])


def test_the_digest_leaves_lines_out_and_nothing_else() -> None:
    program = example()
    moved = replace(program, steps=tuple(replace(step, line="b.py:9") for step in program.steps))
    other = replace(program, constants={1: np.array([0.5, 3.0])})
    renamed = replace(program, steps=(replace(program.steps[0], params={}), program.steps[1]))
    assert digest(moved) == digest(program)
    assert len({digest(program), digest(other), digest(renamed)}) == 3


def test_the_same_function_gives_the_same_digest(compiled: Callable[..., Program]) -> None:
    def function(x: Any) -> Any:
        return lax.fori_loop(0, 3, lambda i, c: jnp.tanh(c) + i, x)

    assert digest(compiled(function, np.ones(3))) == digest(compiled(function, np.ones(3)))


@pytest.mark.parametrize(
    "broken",
    [
        replace(example(), outputs=(9,)),
        replace(example(), steps=example().steps[1:]),
        replace(example(), steps=(*example().steps, example().steps[0])),
        replace(example(), constants={1: np.array([1.0])}),
    ],
)
def test_invalid_programs_are_refused(broken: Program) -> None:
    with pytest.raises((CompileError, IndexError)):
        validate(broken)
    with pytest.raises((CompileError, IndexError)):
        load(dump(broken))


def test_a_constant_has_the_dtype_of_its_slot() -> None:
    with pytest.raises(CompileError, match="int64"):
        validate(replace(example(), constants={1: np.array([1, 2])}))


@given(st.data())
def test_no_bytes_but_a_programs_are_loaded(data: st.DataObject) -> None:
    """Any damage gives CompileError or a valid program, never another error."""
    raw = bytearray(dump(example()))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    for candidate in (bytes(raw), bytes(raw[:cut])):
        try:
            validate(load(candidate))
        except CompileError:
            continue


def test_what_a_header_claims_is_checked() -> None:
    data = dump(example())
    start = len(MAGIC) + 8
    length = int.from_bytes(data[len(MAGIC) : start], "little")
    header = json.loads(data[start : start + length])

    def rebuilt(**changes: Any) -> bytes:
        text = json.dumps({**header, **changes}).encode()
        return MAGIC + len(text).to_bytes(8, "little") + text + data[start + length :]

    load(rebuilt())
    for changes in (
        {"constants": [[1, 0, 1 << 40]]},
        {"constants": [[1, 8, 16]]},
        {"constants": [[7, 0, 16]]},
        {"constants": [[1, -8, 16]]},
        {"slots": [[[1 << 50], "fixed", "float32", False]] * 4},
        {"slots": [[[2], "secret", "float32", False]] * 4},
        {"steps": [{}]},
        {"inputs": ["0"]},
    ):
        with pytest.raises(CompileError):
            load(rebuilt(**changes))
