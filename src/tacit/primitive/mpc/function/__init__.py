"""The function library: every function that a program may call on shared values, written once over `Kernel`.

`FUNCTIONS` maps public names to coroutines `function(k, *values, **params)`. Each carries its contract (domain, error,
what is revealed), see `contract.py`.
"""

from __future__ import annotations

from tacit.primitive.mpc.function import (
    arithmetic,
    cast,
    compare,
    division,
    extremum,
    index,
    integer,
    logic,
    product,
    reduce,
    rounding,
    scan,
    select,
    shuffle,
    sort,
    structure,
)
from tacit.primitive.mpc.function.contract import Contract, Function, contract_of
from tacit.primitive.mpc.function.elementary import ELEMENTARY

__all__ = ["FUNCTIONS", "Contract", "Function", "contract_of"]

_MODULES = (
    arithmetic,
    product,
    compare,
    logic,
    select,
    structure,
    reduce,
    extremum,
    cast,
    rounding,
    scan,
    sort,
    shuffle,
    index,
    integer,
    division,
)


def _registry() -> dict[str, Function]:
    """Every function of the modules that carries a contract, by its name (without the mark against shadowing)."""
    functions = {}
    for module in _MODULES:
        for function in vars(module).values():
            if hasattr(function, "__contract__") and function.__module__ == module.__name__:
                functions[contract_of(function).name] = function
    return functions


FUNCTIONS: dict[str, Function] = {**_registry(), **ELEMENTARY}
