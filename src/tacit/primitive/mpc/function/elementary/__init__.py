"""Elementary functions of shared reals: each a series or a window on one masked opening, see `separable.py`.

How they are made, from below:
- `opening.py`: one opening of x serves a series and all comparisons of x with public thresholds; step functions.
- `table.py`: Fourier extensions as constants; `fit.py` shows how they were found.
- `series.py`: a series inside an interval, constants or x itself outside.
- `normal.py`: x = m / scale with m in [1, 8) by comparisons with powers of eight; powers of x.
- the functions: `activation`, `exponential`, `logarithm`, `quotient`, `root`, `power`, `softmax`, `trigonometric`,
  `hyperbolic`.

Each function states its domain and error as data (`contract.py`); tests assert that very bound over the whole domain.
`ELEMENTARY` maps names to functions.
"""

from __future__ import annotations

from tacit.primitive.mpc.function.contract import Function, contract_of
from tacit.primitive.mpc.function.elementary import (
    activation,
    exponential,
    hyperbolic,
    logarithm,
    power,
    quotient,
    root,
    softmax,
    trigonometric,
)

__all__ = ["ELEMENTARY"]

_MODULES = (activation, exponential, hyperbolic, logarithm, power, quotient, root, softmax, trigonometric)


def _registry() -> dict[str, Function]:
    functions = {}
    for module in _MODULES:
        for function in vars(module).values():
            if hasattr(function, "__contract__") and function.__module__ == module.__name__:
                functions[contract_of(function).name] = function
    functions["logistic"] = functions["sigmoid"]
    return functions


ELEMENTARY: dict[str, Function] = _registry()
