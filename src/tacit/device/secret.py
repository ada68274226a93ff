"""`Secret`: an array that no party sees. Operators build a program lazily; `reveal` runs it and opens the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, final

import numpy as np

from tacit.device.handle import Handle, Node
from tacit.device.named import split_key
from tacit.foundation.errors import SecrecyError, UnsupportedOperation

if TYPE_CHECKING:
    from tacit.device.mpc import MPC


class Call(Node):
    """A function applied to secrets and public values; not run yet."""

    __slots__ = ("arguments", "function", "tree")

    def __init__(
        self, device: MPC, function: Callable[..., Any], arguments: Sequence[Any], tree: Any, line: str
    ) -> None:
        self.function = function
        self.arguments = tuple(arguments)  # leaves: Secret, or public
        self.tree = tree
        name = getattr(function, "__name__", "") or str(function)
        super().__init__(device, name, [x for x in self.arguments if isinstance(x, Secret)], line)


@final
class Secret(Handle):
    """A shared array on an MPC device: held by the parties, or the result of a pending `Call` or conversion."""

    __slots__ = ()
    device: MPC

    # --- what must not be possible ---

    def __repr__(self) -> str:
        return f"Secret({self.dtype}{list(self.shape)} on {self.device!r})"

    def __bool__(self) -> bool:
        raise SecrecyError(
            "a secret has no truth value: branching on it would reveal it. Use jnp.where, or tacit.reveal(x, to=..., because=...)."
        )

    def __float__(self) -> float:
        raise SecrecyError("a secret cannot become a number. Use tacit.reveal(x, to=..., because=...).")

    __int__ = __index__ = __complex__ = __round__ = __float__

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise SecrecyError("a secret cannot become a NumPy array. Use tacit.reveal(x, to=..., because=...).")

    def __jax_array__(self) -> Any:
        raise SecrecyError(
            "a secret cannot become a JAX array. Use NumPy's functions on it, or mpc(function)(x) for a JAX function."
        )

    def __format__(self, spec: str) -> str:
        if spec:
            raise SecrecyError("a secret cannot be formatted as a number. Use tacit.reveal(x, to=..., because=...).")
        return repr(self)

    def tolist(self) -> Any:
        """Not possible; raises SecrecyError."""
        raise SecrecyError("a secret cannot become a list. Use tacit.reveal(x, to=..., because=...).")

    item = tolist

    def __setitem__(self, key: Any, value: Any) -> None:
        raise UnsupportedOperation(
            "a secret is not changed in place. Use jnp.where(mask, value, x), or x.at[key].set(value) in a JAX function."
        )

    def __reduce__(self) -> Any:
        raise SecrecyError(
            "a secret is a handle of its session and cannot be pickled. Use mpc.save for shares at rest."
        )

    __hash__ = object.__hash__

    def __iter__(self) -> Any:
        if not self.shape:
            raise TypeError("iteration over a 0-d secret")
        return (self[i] for i in range(self.shape[0]))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("a 0-d secret has no length")
        return self.shape[0]

    # --- operators ---

    @property
    def T(self) -> Secret:  # noqa: N802  NumPy's name
        """The transpose."""
        return self._apply("transpose")

    def _apply(self, name: str, *others: Any, **options: Any) -> Any:
        return self.device.numpy(name, (self, *map(_operand, others)), options)

    def _reflected(self, name: str, other: Any) -> Any:
        return self.device.numpy(name, (_operand(other), self), {})

    def __add__(self, other: Any) -> Any:
        return self._apply("add", other)

    def __radd__(self, other: Any) -> Any:
        return self._reflected("add", other)

    def __sub__(self, other: Any) -> Any:
        return self._apply("subtract", other)

    def __rsub__(self, other: Any) -> Any:
        return self._reflected("subtract", other)

    def __mul__(self, other: Any) -> Any:
        return self._apply("multiply", other)

    def __rmul__(self, other: Any) -> Any:
        return self._reflected("multiply", other)

    def __truediv__(self, other: Any) -> Any:
        return self._apply("true_divide", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self._reflected("true_divide", other)

    def __floordiv__(self, other: Any) -> Any:
        return self._apply("floor_divide", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return self._reflected("floor_divide", other)

    def __mod__(self, other: Any) -> Any:
        return self._apply("remainder", other)

    def __rmod__(self, other: Any) -> Any:
        return self._reflected("remainder", other)

    def __pow__(self, other: Any) -> Any:
        return self._apply("power", other)

    def __rpow__(self, other: Any) -> Any:
        return self._reflected("power", other)

    def __matmul__(self, other: Any) -> Any:
        return self._apply("matmul", other)

    def __rmatmul__(self, other: Any) -> Any:
        return self._reflected("matmul", other)

    def __and__(self, other: Any) -> Any:
        return self._apply("bitwise_and", other)

    def __rand__(self, other: Any) -> Any:
        return self._reflected("bitwise_and", other)

    def __or__(self, other: Any) -> Any:
        return self._apply("bitwise_or", other)

    def __ror__(self, other: Any) -> Any:
        return self._reflected("bitwise_or", other)

    def __xor__(self, other: Any) -> Any:
        return self._apply("bitwise_xor", other)

    def __rxor__(self, other: Any) -> Any:
        return self._reflected("bitwise_xor", other)

    def __lshift__(self, other: Any) -> Any:
        return self._apply("left_shift", other)

    def __rlshift__(self, other: Any) -> Any:
        return self._reflected("left_shift", other)

    def __rshift__(self, other: Any) -> Any:
        return self._apply("right_shift", other)

    def __rrshift__(self, other: Any) -> Any:
        return self._reflected("right_shift", other)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __pos__(self) -> Any:
        return self

    def __neg__(self) -> Any:
        return self._apply("negative")

    def __abs__(self) -> Any:
        return self._apply("abs")

    def __invert__(self) -> Any:
        return self._apply("invert")

    def __lt__(self, other: Any) -> Any:
        return self._apply("less", other)

    def __le__(self, other: Any) -> Any:
        return self._apply("less_equal", other)

    def __gt__(self, other: Any) -> Any:
        return self._apply("greater", other)

    def __ge__(self, other: Any) -> Any:
        return self._apply("greater_equal", other)

    def __eq__(self, other: object) -> Any:
        return self._apply("equal", other)

    def __ne__(self, other: object) -> Any:
        return self._apply("not_equal", other)

    def __getitem__(self, key: Any) -> Any:
        function, operands = split_key(key)
        return self.device.apply(function, (self, operands))

    def reshape(self, *shape: Any) -> Any:
        """The same elements in another shape."""
        return self._apply("reshape", shape=shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape)

    def sum(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The sum along axes."""
        return self._apply("sum", axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The mean along axes."""
        return self._apply("mean", axis=axis, keepdims=keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The maximum along axes."""
        return self._apply("max", axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Any:
        """The minimum along axes."""
        return self._apply("min", axis=axis, keepdims=keepdims)

    def astype(self, dtype: Any) -> Any:
        """Convert between real, integer and truth values; their widths are the protocol's."""
        return self._apply("astype", _narrow(np.dtype(dtype)))

    # --- NumPy functions ---

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if options.get("out") is not None:
            raise SecrecyError(f"np.{ufunc.__name__} cannot write a secret into a NumPy array. Use its result instead.")
        if method == "reduce" and ufunc.__name__ in _REDUCTIONS:
            kept = {name: value for name, value in options.items() if name in ("axis", "keepdims")}
            return self.device.numpy(_REDUCTIONS[ufunc.__name__], inputs, {"axis": 0, **kept})
        if method != "__call__" or options:
            how = f".{method}" if method != "__call__" else f" with {', '.join(options)}"
            raise UnsupportedOperation(
                f"np.{ufunc.__name__}{how} is not there for secrets. Use functions of jax.numpy."
            )
        return self.device.numpy(ufunc.__name__, tuple(map(_operand, inputs)), {})

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        name = function.__name__
        if name in _PUBLIC_FACTS:
            return _PUBLIC_FACTS[name](*args, **kwargs)
        module = function.__module__.partition("numpy.")[2]
        arguments = tuple(map(_argument, args))
        options = {option: _argument(value) for option, value in kwargs.items()}
        return self.device.numpy(f"{module}.{name}" if module in _MODULES else name, arguments, options)


def _operand(other: Any) -> Any:
    """Lists are arrays, as with NumPy."""
    return np.asarray(other) if isinstance(other, (list, tuple)) else other


def _argument(value: Any) -> Any:
    """Lists of public numbers are arrays; lists of arrays stay lists. Dtypes have the widths of a program."""
    if isinstance(value, list) and not any(isinstance(leaf, (Secret, np.ndarray)) for leaf in value):
        return np.asarray(value)
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return _narrow(np.dtype(value))
    return value


def _narrow(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return _WIDTHS.get(dtype, dtype)


def _shape(a: Any) -> tuple[int, ...]:
    return tuple(a.shape)


def _size(a: Any, axis: int | None = None) -> int:
    return int(a.size) if axis is None else int(a.shape[axis])


_PUBLIC_FACTS: dict[str, Callable[..., Any]] = {"shape": _shape, "ndim": lambda a: len(a.shape), "size": _size}
_WIDTHS = {np.dtype(np.float64): np.dtype(np.float32), np.dtype(np.int64): np.dtype(np.int32)}
_MODULES = frozenset({"linalg", "fft"})
_REDUCTIONS = {
    "add": "sum",
    "multiply": "prod",
    "maximum": "max",
    "minimum": "min",
    "logical_and": "all",
    "logical_or": "any",
}
