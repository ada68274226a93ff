"""The `Plain` device: one party computing on its own values in the clear."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any, final

import numpy as np

from tacit.device.caller import user_line
from tacit.device.executor import Executor, Steps, ask
from tacit.device.handle import Device, Handle, Task
from tacit.foundation.errors import InputError


@final
class PlainValue(Handle):
    """An array that lives at one party. Its shape and dtype are known to the session, its content is not."""

    __slots__ = ()
    device: Plain

    def __repr__(self) -> str:
        return f"PlainValue({self.dtype}{list(self.shape)} at {self.device.party})"


@final
class Plain(Device):
    """One party's own machine. `put` brings an array in; calling it with a function runs that function there."""

    kind = "plain"

    def __init__(self, executor: Executor, party: str) -> None:
        self.executor = executor
        self.party = party
        self.names = (party,)
        self.sees = f"{party} alone"
        self._exported: OrderedDict[Any, tuple[Any, tuple[Any, Any, Any]]] = OrderedDict()

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
        return PlainValue(self, array.shape, array.dtype, id=id, owners=[self.party])

    def get(self, value: PlainValue) -> np.ndarray:
        """Read a plain value as its owner, once it is computed."""
        if value.device.party != self.party:
            raise InputError(
                f"{value!r} lives at {value.device.party}; {self.party} cannot read it. Use tacit.reveal on a secret."
            )
        self.executor.run(value)
        answers = self.executor.ask([self.party], "get", {"id": value.id})
        return answers[self.party][1][0]

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A JAX function to run at this party on its plain values: exported, never pickled. Also as a decorator.

        A call is a node of the graph: it runs when a result is needed. Arguments and results may be any structure (pytree).
        Public arrays among the arguments are brought to the party; Python numbers and texts are part of the function.
        """

        @wraps(function)
        def call(*arguments: Any) -> Any:
            return self._call(function, arguments)

        return call

    def _call(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        import jax

        leaves, tree = jax.tree.flatten(arguments, is_leaf=lambda leaf: isinstance(leaf, Handle))
        leaves = [leaf if isinstance(leaf, (Handle, *STATIC)) else self.put(leaf) for leaf in leaves]
        values = [leaf for leaf in leaves if isinstance(leaf, Handle)]
        for value in values:
            if value.device is not self:
                raise InputError(
                    f"{value!r} lives at {' and '.join(value.device.names)}, not at {self.party}. Share it on an MPC device, or show it to "
                    f"{self.party} with x.to(plain, because='...')."
                )
        blob, avals, out_tree = self._export(function, leaves, tree)

        def steps() -> Steps:
            fields = {"inputs": [value.id for value in values], "outputs": [id for id, _ in task.outputs]}
            yield ask([self.party], "call", fields, [blob])

        name = getattr(function, "__name__", type(function).__name__)
        detail = {"function": hashlib.sha256(blob.tobytes()).hexdigest()}
        task = Task(self, name, values, user_line(), steps, detail)
        results = [PlainValue(self, shape, dtype, node=task, index=i) for i, (shape, dtype) in enumerate(avals)]
        return jax.tree.unflatten(out_tree, results)

    def _export(self, function: Callable[..., Any], leaves: Sequence[Any], tree: Any) -> tuple[Any, Any, Any]:
        """The function as bytes, and its results' types; traced once for each function and types of arguments."""
        import jax
        from jax import export

        described = tuple(
            (leaf.shape, str(leaf.dtype)) if isinstance(leaf, Handle) else (type(leaf), repr(leaf)) for leaf in leaves
        )
        key = (id(function), described, tree)
        if key in self._exported:
            self._exported.move_to_end(key)
            return self._exported[key][1]
        shaped: dict[str, Any] = {}

        def flat(*flat_values: Any) -> list[Any]:
            supply = iter(flat_values)
            filled = [next(supply) if isinstance(leaf, Handle) else leaf for leaf in leaves]
            results, shaped["tree"] = jax.tree.flatten(function(*jax.tree.unflatten(tree, filled)))
            return results

        specs = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves if isinstance(leaf, Handle)]
        with jax.enable_x64(True):
            exported = export.export(jax.jit(flat), platforms=["cpu"])(*specs)
        avals = [(tuple(aval.shape), np.dtype(aval.dtype)) for aval in exported.out_avals]
        made = np.frombuffer(exported.serialize(), np.uint8), avals, shaped["tree"]
        self._exported[key] = (function, made)  # kept alive, so that no other function gets its number
        if len(self._exported) > CACHED_FUNCTIONS:
            self._exported.popitem(last=False)
        return made

    def procedure(
        self, name: str, inputs: Sequence[PlainValue], params: Mapping[str, Any], count: int
    ) -> tuple[list[PlainValue], Mapping[str, Any]]:
        """Run a named library procedure here alone, now; its `count` results and its public facts."""
        self.executor.run(list(inputs))
        ids = [self.executor.new_id() for _ in range(count)]
        fields = {"name": name, "inputs": [value.id for value in inputs], "outputs": ids, "params": dict(params)}
        facts, _ = self.executor.ask([self.party], "procedure", fields)[self.party]
        owners = {self.party}.union(*(value.owners for value in inputs))
        results = [
            PlainValue(self, shape, dtype, id=id, owners=owners)
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


CACHED_FUNCTIONS = 128
STATIC = (bool, int, float, complex, str, bytes, np.dtype, type)
"""Arguments that are part of a function, such as an axis or a mode, and no data."""
_KINDS = {"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float64}
