"""The `Plain` device: one party computing on its own values in the clear."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np

from tacit.device.executor import Executor
from tacit.foundation.errors import InputError


@final
class PlainValue:
    """An array that lives at one party. Its shape and dtype are known to the session, its content is not."""

    def __init__(self, device: Plain, id: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.device = device
        self.id = id
        self.shape = shape
        self.dtype = dtype
        weakref.finalize(self, device.executor.drop_later, [id]).atexit = False

    def __repr__(self) -> str:
        return f"PlainValue({self.dtype}{list(self.shape)} at {self.device.party})"


@final
class Plain:
    """One party's own machine. `put` brings an array in; calling it with a function runs that function there."""

    def __init__(self, executor: Executor, party: str) -> None:
        self.executor = executor
        self.party = party

    def __repr__(self) -> str:
        return f"Plain({self.party!r})"

    def put(self, data: Any) -> PlainValue:
        """Keep an array (NumPy, pandas, Arrow, JAX, nested lists) at the party.

        In a local session the caller speaks for every party; in a federated one a party's data comes from its own node.
        Raises: InputError for text, dates or ragged data.
        """
        array = as_array(data)
        id = self.executor.new_id()
        self.executor.command([self.party], "put", {"id": id}, [array])
        return PlainValue(self, id, array.shape, array.dtype)

    def get(self, value: PlainValue) -> np.ndarray:
        """Read a plain value as its owner."""
        if value.device.party != self.party:
            raise InputError(
                f"{value!r} lives at {value.device.party}; {self.party} cannot read it. Use tacit.reveal on a secret."
            )
        answers = self.executor.ask([self.party], "get", {"id": value.id})
        return answers[self.party][1][0]

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A JAX function to run at this party on its plain values: exported, never pickled.

        Public arrays among the arguments are brought to the party; Python numbers and texts are part of the function.
        """

        def call(*arguments: Any) -> Any:
            return self._call(function, arguments)

        return call

    def _call(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        import jax
        from jax import export

        leaves, tree = jax.tree.flatten(arguments, is_leaf=lambda leaf: isinstance(leaf, PlainValue))
        leaves = [leaf if isinstance(leaf, (PlainValue, *STATIC)) else self.put(leaf) for leaf in leaves]
        values = [leaf for leaf in leaves if isinstance(leaf, PlainValue)]
        for value in values:
            if value.device.party != self.party:
                raise InputError(
                    f"{value!r} lives at {value.device.party}, not at {self.party}. Move it through an MPC device."
                )
        specs = [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in values]
        shaped: dict[str, Any] = {}

        def flat(*flat_values: Any) -> list[Any]:
            supply = iter(flat_values)
            filled = [next(supply) if isinstance(leaf, PlainValue) else leaf for leaf in leaves]
            results, shaped["tree"] = jax.tree.flatten(function(*jax.tree.unflatten(tree, filled)))
            return results

        with jax.enable_x64(True):
            exported = export.export(jax.jit(flat), platforms=["cpu"])(*specs)
        ids = [self.executor.new_id() for _ in exported.out_avals]
        blob = np.frombuffer(exported.serialize(), np.uint8)
        fields = {"inputs": [value.id for value in values], "outputs": ids}
        self.executor.ask([self.party], "call", fields, [blob])
        results = [
            PlainValue(self, id, tuple(aval.shape), np.dtype(aval.dtype))
            for id, aval in zip(ids, exported.out_avals, strict=True)
        ]
        return jax.tree.unflatten(shaped["tree"], results)

    def procedure(
        self, name: str, inputs: Sequence[PlainValue], params: Mapping[str, Any], count: int
    ) -> tuple[list[PlainValue], Mapping[str, Any]]:
        """Run a named library procedure here alone; its `count` results and its public facts."""
        ids = [self.executor.new_id() for _ in range(count)]
        fields = {"name": name, "inputs": [value.id for value in inputs], "outputs": ids, "params": dict(params)}
        facts, _ = self.executor.ask([self.party], "procedure", fields)[self.party]
        results = [
            PlainValue(self, id, tuple(shape), np.dtype(dtype))
            for id, (shape, dtype) in zip(ids, facts["shapes"], strict=False)
        ]
        return results, facts


def as_array(data: Any) -> np.ndarray:
    """A numeric NumPy array (float64, int64 or bool, C-contiguous) from what users have.

    Takes NumPy and JAX arrays, pandas and Arrow columns and tables, numbers, nested lists.
    Raises: InputError for text, dates, complex or ragged data, masked or missing entries that have no number, and integers
    beyond 64 bits signed. NaN passes: whoever needs a finite number refuses it there.
    """
    array = _numpy(data)
    kind = array.dtype.kind
    if kind == "V" and array.dtype.names is None and np.can_cast(array.dtype, np.float64):  # bfloat16 and its kin
        kind = "f"
    if kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise InputError(f"an unsigned integer of the array reaches {array.max()}, beyond 63 bits. Scale or split it.")
    if kind not in _KINDS:
        raise InputError(
            f"an array of dtype {array.dtype} has no numeric meaning. Encode text, dates and objects as numbers first, "
            "and fill or drop missing entries."
        )
    return np.ascontiguousarray(array, dtype=_KINDS[kind]).reshape(array.shape)


def _numpy(data: Any) -> np.ndarray:
    if isinstance(data, np.ma.MaskedArray) and (masked := int(np.sum(np.ma.getmaskarray(data)))):
        raise InputError(f"{masked} entries of the array are masked. Fill or drop them first.")
    if hasattr(data, "to_pandas") and not hasattr(data, "to_numpy"):  # a pyarrow Table
        data = data.to_pandas()
    if hasattr(data, "combine_chunks") or type(data).__module__.startswith("pyarrow"):
        return np.asarray(data.to_numpy(zero_copy_only=False))
    try:
        return np.asarray(data.to_numpy() if hasattr(data, "to_numpy") else data)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"this {type(data).__name__} is no array of numbers: {error}") from None


STATIC = (bool, int, float, complex, str, bytes, np.dtype, type)
"""Arguments that are part of a function, such as an axis or a mode, and no data."""
_KINDS = {"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float64}
