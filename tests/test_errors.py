"""The error tree: documented, drawn as it is, and rooted in TacitError."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tacit.foundation import errors
from tacit.foundation.errors import FixedPointOverflow, TacitError

CLASSES = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and value.__module__ == errors.__name__
}
SOURCE = Path(errors.__file__).parents[1]
LEAVES = {name: value for name, value in CLASSES.items() if not value.__subclasses__()}

# Part of the public tree already, and raised by what is built next. Keep it short.
RESERVED = frozenset({"CorrelationExhausted", "PeerAborted", "PolicyError"})


@pytest.mark.parametrize("name", CLASSES)
def test_every_error_is_a_tacit_error_and_says_what_it_means(name: str) -> None:
    error = CLASSES[name]
    assert issubclass(error, TacitError)
    assert error.__doc__, f"{name} has no docstring"
    assert error.__doc__.splitlines()[0].endswith("."), f"{name}'s docstring does not begin with a sentence"


def test_the_tree_at_the_top_of_the_module_is_the_tree_of_the_classes() -> None:
    drawn = dict(drawn_tree(errors.__doc__ or ""))
    assert drawn == {name: parent(value) for name, value in CLASSES.items()}


def test_every_error_without_kinds_of_its_own_is_made_somewhere() -> None:
    made = {
        name
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.Call, ast.Raise))
        for name in [called(node.func if isinstance(node, ast.Call) else node.exc)]
    }
    assert sorted(LEAVES.keys() - made - RESERVED) == [], "nothing raises these: raise them or remove them"
    assert sorted(RESERVED - LEAVES.keys()) == []


def test_an_error_can_be_caught_as_what_it_is_elsewhere_in_python() -> None:
    assert issubclass(errors.InputError, ValueError)
    assert issubclass(errors.LinkError, ConnectionError)
    assert issubclass(errors.PeerStalled, TimeoutError)
    assert issubclass(errors.PolicyError, PermissionError)
    assert issubclass(errors.UnsupportedOperation, NotImplementedError)


def test_fixed_point_overflow_names_the_number_and_the_cure() -> None:
    with pytest.raises(
        FixedPointOverflow, match=r"9e\+09 but 18 fraction bits leave room for 1e\+06.*fewer fraction bits"
    ):
        raise FixedPointOverflow(observed=9e9, limit=1e6, fraction_bits=18)


def called(expression: ast.expr | None) -> str:
    """Name what is called or raised, without the module before it."""
    return getattr(expression, "attr", getattr(expression, "id", ""))


def parent(error: type) -> str:
    """Name the class that an error hangs from in the tree: its first base of ours."""
    return next((base.__name__ for base in error.__bases__ if base.__name__ in CLASSES), "")


def drawn_tree(text: str) -> Iterator[tuple[str, str]]:
    """Read (name, parent) pairs off the drawing, four columns to a level."""
    path: list[str] = []
    for line in text.splitlines():
        if entry := re.match(r"(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(\s{2,}\S|$)", line):
            depth = len(entry["branch"]) // 4
            path[depth:] = [entry["name"]]
            yield entry["name"], path[depth - 1] if depth else ""
