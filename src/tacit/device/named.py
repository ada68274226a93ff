"""Functions that are known by name: what operators, NumPy's dispatch and indexing become.

Two of the same name are the same function, so that a program made of them is compiled once.
"""

from __future__ import annotations

from operator import index
from typing import Any, final

import jax.numpy as jnp
import numpy as np

from tacit.foundation.errors import InputError, UnsupportedOperation


class Named:
    """A function of `jax.numpy` by its name, such as `sum` or `linalg.norm`; takes its arguments and options as two values.

    Raises: UnsupportedOperation for a name that `jax.numpy` does not have.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name
        function: Any = jnp
        for part in name.split("."):
            function = getattr(function, part, None)
        if not callable(function):
            raise UnsupportedOperation(
                f"numpy.{name} has no counterpart in jax.numpy. Write it with functions of jax.numpy."
            )

    def __call__(self, arguments: Any, options: Any) -> Any:
        """Call it while a program is traced."""
        function: Any = jnp
        for part in self.name.split("."):
            function = getattr(function, part)
        return function(*arguments, **options)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Named) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


@final
class Index(Named):
    """x[key]: the parts of the key that are numbers, slices and new axes; arrays and secrets are handed in as operands."""

    __slots__ = ("pattern",)

    def __init__(self, pattern: tuple[Any, ...]) -> None:
        self.name = "getitem"
        self.pattern = pattern

    def __call__(self, arguments: Any, options: Any) -> Any:
        """Index the first value, taking operands from the second."""
        supply = iter(options)
        parts = []
        for part in self.pattern:
            if part == _OPERAND:
                parts.append(next(supply))
            elif isinstance(part, tuple):
                parts.append(slice(*part))
            else:
                parts.append(part)
        return arguments[tuple(parts)]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Index) and self.pattern == other.pattern

    def __hash__(self) -> int:
        return hash(self.pattern)


def split_key(key: Any) -> tuple[Index, tuple[Any, ...]]:
    """The index function of a key, and the operands it takes. Raises InputError for what cannot be an index."""
    pattern: list[Any] = []
    operands: list[Any] = []
    for part in key if isinstance(key, tuple) else (key,):
        if part is None or part is Ellipsis:
            pattern.append(part)
        elif isinstance(part, slice):
            pattern.append((_bound(part.start), _bound(part.stop), _bound(part.step)))
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            pattern.append(int(part))
        else:
            operands.append(np.asarray(part) if isinstance(part, (list, bool)) else part)
            pattern.append(_OPERAND)
    return Index(tuple(pattern)), tuple(operands)


def _bound(value: Any) -> int | None:
    if value is None:
        return None
    try:
        return index(value)
    except TypeError:
        raise InputError(
            f"a slice of a secret needs public integers as bounds, not {type(value).__name__}: its length is public"
        ) from None


_OPERAND = "operand"
