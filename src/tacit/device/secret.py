"""`Secret`: an array that no party sees. Operators build a program lazily; `reveal` runs it and opens the result."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from tacit.foundation.errors import SecrecyError

if TYPE_CHECKING:
    from tacit.device.mpc import MPC


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A function applied to secrets and public values; not run yet."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]  # leaves: Secret, or public arrays
    tree: Any
    count: int  # results


@final
class Secret:
    """A shared array on an MPC device: either held by the parties as `id`, or result `index` of a pending `Call`."""

    __slots__ = ("__weakref__", "_finalizer", "call", "device", "dtype", "id", "index", "shape")

    def __init__(self, device: MPC, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.device = device
        self.shape = shape
        self.dtype = dtype
        self.id: int | None = None
        self.call: Call | None = None
        self.index = 0

    @classmethod
    def held(cls, device: MPC, id: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Secret:
        """A value the parties hold."""
        secret = cls(device, shape, dtype)
        secret.hold(id)
        return secret

    @classmethod
    def pending(cls, device: MPC, call: Call, index: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Secret:
        """Result `index` of a call that has not run."""
        secret = cls(device, shape, dtype)
        secret.call = call
        secret.index = index
        return secret

    def hold(self, id: int) -> None:
        """The parties now hold this value as `id`; forget how it came about."""
        self.id = id
        self.call = None
        weakref.finalize(self, self.device.executor.drop_later, [id]).atexit = False

    # --- what must not be possible ---

    def __repr__(self) -> str:
        return f"Secret({self.dtype}{list(self.shape)} on {self.device})"

    def __bool__(self) -> bool:
        raise SecrecyError(
            "a secret has no truth value: branching on it would reveal it. Use jnp.where, or tacit.reveal(x, to=..., because=...)."
        )

    def __float__(self) -> float:
        raise SecrecyError("a secret cannot become a float. Use tacit.reveal(x, to=..., because=...).")

    __int__ = __index__ = __float__

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise SecrecyError("a secret cannot become a NumPy array. Use tacit.reveal(x, to=..., because=...).")

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
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def T(self) -> Secret:  # noqa: N802  NumPy's name
        """The transpose."""
        return self._apply("transpose")

    def _apply(self, name: str, *others: Any, **options: Any) -> Any:
        return self.device.numpy(name, (self, *others), options)

    def __add__(self, other: Any) -> Any:
        return self._apply("add", other)

    def __radd__(self, other: Any) -> Any:
        return self._apply("add", other)

    def __sub__(self, other: Any) -> Any:
        return self._apply("subtract", other)

    def __rsub__(self, other: Any) -> Any:
        return self.device.numpy("subtract", (other, self), {})

    def __mul__(self, other: Any) -> Any:
        return self._apply("multiply", other)

    def __rmul__(self, other: Any) -> Any:
        return self._apply("multiply", other)

    def __truediv__(self, other: Any) -> Any:
        return self._apply("true_divide", other)

    def __rtruediv__(self, other: Any) -> Any:
        return self.device.numpy("true_divide", (other, self), {})

    def __floordiv__(self, other: Any) -> Any:
        return self._apply("floor_divide", other)

    def __mod__(self, other: Any) -> Any:
        return self._apply("remainder", other)

    def __pow__(self, other: Any) -> Any:
        return self._apply("power", other)

    def __matmul__(self, other: Any) -> Any:
        return self._apply("matmul", other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.device.numpy("matmul", (other, self), {})

    def __neg__(self) -> Any:
        return self._apply("negative")

    def __abs__(self) -> Any:
        return self._apply("abs")

    def __invert__(self) -> Any:
        return self._apply("invert")

    def __and__(self, other: Any) -> Any:
        return self._apply("bitwise_and", other)

    def __or__(self, other: Any) -> Any:
        return self._apply("bitwise_or", other)

    def __xor__(self, other: Any) -> Any:
        return self._apply("bitwise_xor", other)

    def __lshift__(self, other: Any) -> Any:
        return self._apply("left_shift", other)

    def __rshift__(self, other: Any) -> Any:
        return self._apply("right_shift", other)

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

    __hash__ = object.__hash__

    def __getitem__(self, key: Any) -> Any:
        return self.device.apply(_Index(key), (self,))

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
        """Convert between real, integer and truth values."""
        return self._apply("astype", dtype=np.dtype(dtype))

    # --- NumPy functions ---

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options:
            return NotImplemented
        return self.device.numpy(ufunc.__name__, inputs, {})

    def __array_function__(self, function: Any, _types: Any, args: Any, kwargs: Any) -> Any:
        return self.device.numpy(function.__name__, args, kwargs)


@dataclass(frozen=True)
class _Index:
    """x[key] as a function that can be compared, so that programs are cached."""

    key: Any

    def __call__(self, x: Any) -> Any:
        return x[self.key]

    def __hash__(self) -> int:
        return hash(repr(self.key))
