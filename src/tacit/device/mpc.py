"""The `MPC` device: JAX functions on shared values.

`mpc(fn)(*args)` only notes the call. When a result is needed, all pending calls that lead to it are traced together as one
program, so the passes and the driver see the whole computation and independent parts share rounds.
"""

from __future__ import annotations

import hashlib
import secrets
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MethodType
from typing import Any, final

import jax
import numpy as np

from tacit.compile.build import Compiled, compile_function
from tacit.compile.front.jax.source import WRITTEN_AT
from tacit.device.caller import user_line
from tacit.device.executor import Executor
from tacit.device.named import Named
from tacit.device.plain import STATIC, PlainValue, as_array
from tacit.device.secret import Call, Secret
from tacit.foundation.errors import ConfigError, InputError, SecrecyError, TacitError
from tacit.primitive.mpc.protocol import Protocol, protocol_name

CACHED_PROGRAMS = 256
DTYPES = {"fixed": np.dtype(np.float32), "int": np.dtype(np.int32), "bool": np.dtype(np.bool_)}


@final
class MPC:
    """Parties that compute on shares under one protocol. Print it for its threat model."""

    def __init__(self, executor: Executor, protocol: Protocol, names: Sequence[str]) -> None:
        self.executor = executor
        self.protocol = protocol
        self.names = tuple(names)
        self.number = executor.new_id()
        self._shared: weakref.WeakKeyDictionary[PlainValue, Secret] = weakref.WeakKeyDictionary()
        self._programs: OrderedDict[Any, tuple[Compiled, Any]] = OrderedDict()
        self._loaded: set[str] = set()
        fields = {
            "device": self.number,
            "protocol": protocol_name(protocol),
            "names": list(names),
            "fraction_bits": protocol.fraction_bits,
            "exact": protocol.exact,
        }
        executor.ask(executor.parties, "open", fields)
        self.last_run: dict[str, Mapping[str, Any]] = {}

    def __str__(self) -> str:
        return f"{self.protocol}\nParties: {', '.join(self.names)}"

    def __repr__(self) -> str:
        return f"MPC({protocol_name(self.protocol)}: {', '.join(self.names)})"

    # --- in -----------------------------------------------------------------------------------------------------

    def share(self, value: PlainValue) -> Secret:
        """Share a party's plain value. The same value is shared once, and stays shared as long as its handle lives.

        Reveals: nothing. Costs: 1 round, 8 bytes per element from the owner.
        Raises: FixedPointOverflow, DomainError or InputError of the owner before anything moves.
        """
        known = self._shared.get(value)
        if known is not None:
            return known
        owner = value.device.party
        if owner not in self.names:
            raise ConfigError(f"{owner} takes no part in {self!r} and cannot share a value with it")
        id = self.executor.new_id()
        facts, _ = self.executor.ask([owner], "encode", {"device": self.number, "source": value.id, "id": id})[owner]
        fields = {"device": self.number, "owner": owner, "id": id, "shape": facts["shape"], "kind": facts["kind"]}
        self.executor.command(self.names, "share", fields)
        secret = Secret.held(self, id, tuple(facts["shape"]), DTYPES[facts["kind"]])
        self._shared[value] = secret
        return secret

    def constant(self, data: Any) -> Secret:
        """A public array as a secret, to start a computation from. Costs: nothing."""
        array = as_array(data)
        id = self.executor.new_id()
        answers = self.executor.ask(self.names, "constant", {"device": self.number, "id": id}, [array])
        return Secret.held(self, id, array.shape, DTYPES[answers[self.names[0]][0]["kind"]])

    # --- at rest ------------------------------------------------------------------------------------------------

    def save(self, values: Mapping[str, Secret], folder: Path) -> None:
        """Have every party write its own shares of the values to `folder/PARTY.share`, readable by its user only.

        Reveals: nothing; two parties' files together are the values, so each party keeps its own.
        """
        self.run(list(values.values()))
        folder.mkdir(parents=True, exist_ok=True)
        fields = {
            "device": self.number,
            "ids": [secret.id for secret in values.values()],
            "names": list(values),
            "folder": str(folder.resolve()),
            "model": secrets.token_hex(8),
        }
        self.executor.ask(self.names, "save", fields)

    def restore(self, names: Sequence[str], folder: Path) -> dict[str, Secret]:
        """Read values back that `save` wrote, at the same parties under the same protocol.

        Raises: InputError when a file is missing, damaged, of another party or protocol, or of another model than the
        other parties' files.
        """
        ids = [self.executor.new_id() for _ in names]
        fields = {"device": self.number, "ids": ids, "names": list(names), "folder": str(folder.resolve())}
        try:
            answers = self.executor.ask(self.names, "restore", fields)
        except InputError:
            self.executor.drop_later(ids)  # those parties whose files were good hold values now
            raise
        models = {party: facts["model"] for party, (facts, _) in answers.items()}
        if len(set(models.values())) != 1:
            self.executor.drop_later(ids)
            raise InputError(
                f"the parties' share files belong to different models: {models}. Restore files of one save."
            )
        described = answers[self.names[0]][0]["values"]
        return {
            name: Secret.held(self, id, tuple(shape), DTYPES[kind])
            for name, id, (kind, shape) in zip(names, ids, described, strict=True)
        }

    # --- computing ----------------------------------------------------------------------------------------------

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function on this device: arguments may be secrets, plain values (shared on the way) and public arrays."""

        def call(*arguments: Any) -> Any:
            return self.apply(function, arguments)

        return call

    def apply(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Note a call; its results as secrets, in the structure the function returns."""
        leaves, tree = jax.tree.flatten(tuple(arguments), is_leaf=_is_device_value)
        flat = tuple(self._argument(leaf) for leaf in leaves)
        specs = [leaf for leaf in flat if isinstance(leaf, Secret)]

        def shaped(*values: Any) -> Any:
            supply = iter(values)
            return function(*jax.tree.unflatten(tree, [next(supply) if isinstance(x, Secret) else x for x in flat]))

        line = user_line()
        try:
            result = jax.eval_shape(shaped, *[jax.ShapeDtypeStruct(s.shape, s.dtype) for s in specs])
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
            raise SecrecyError(
                f"Python asked for the value of a secret in the call at {line}: {str(error).splitlines()[0]} Use jnp.where or "
                "lax.cond instead of `if`, and jax.numpy instead of NumPy inside the function."
            ) from None
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            if isinstance(error, TacitError) or not isinstance(function, Named):
                raise  # a user's own function speaks for itself
            operands = ", ".join(f"{x!r}" if isinstance(x, Secret) else _brief(x) for x in flat)
            raise InputError(f"{function}({operands}) at {line}: {str(error).splitlines()[0]}") from None
        outputs, out_tree = jax.tree.flatten(result)
        call = Call(function, flat, tree, len(outputs), line)
        results = [Secret.pending(self, call, i, tuple(o.shape), np.dtype(o.dtype)) for i, o in enumerate(outputs)]
        return jax.tree.unflatten(out_tree, results)

    def numpy(self, name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """A function of `jax.numpy` by name, for operators and NumPy's dispatch."""
        return self.apply(Named(name), (tuple(arguments), dict(options)))

    def run(self, values: Sequence[Secret], *, timing: bool = False) -> None:
        """Compute pending secrets now, together; they stay shared.

        `last_run` then holds, by party, the seconds, rounds, bytes and messages of the run.
        """
        todo = list({id(s): s for s in values if s.id is None}.values())
        if not todo:
            return
        compiled, leaves = self._compile(todo)
        if compiled.digest not in self._loaded:
            blob = np.frombuffer(compiled.data, np.uint8)
            self.executor.command(self.names, "program", {"digest": compiled.digest}, [blob])
            self._loaded.add(compiled.digest)
        ids = [self.executor.new_id() for _ in todo]
        fields = {
            "device": self.number,
            "digest": compiled.digest,
            "inputs": [leaf.id for leaf in leaves],
            "outputs": ids,
            "timing": timing,
        }
        answers = self.executor.ask(self.names, "run", fields)
        self.last_run = {party: facts for party, (facts, _) in answers.items()}
        for secret, number in zip(todo, ids, strict=True):
            secret.hold(number)

    def compile(self, values: Sequence[Secret]) -> Compiled:
        """The program that would compute the pending secrets: print it, price it, hash it."""
        return self._compile(list(values))[0]

    def _compile(self, todo: list[Secret]) -> tuple[Compiled, list[Secret]]:
        leaves: list[Secret] = []
        order: dict[int, int] = {}
        calls: list[Call] = []
        seen: dict[int, int] = {}
        key = tuple(_describe(secret, leaves, order, calls, seen) for secret in todo)
        full_key = (
            key,
            tuple(_call_key(call, order, seen) for call in calls),
            tuple((s.shape, str(s.dtype)) for s in leaves),
        )
        found = self._programs.get(full_key)
        if found is not None:
            self._programs.move_to_end(full_key)
            return found[0], leaves

        def composite(*inputs: Any) -> list[Any]:
            results: dict[int, list[Any]] = {}

            def value(argument: Any) -> Any:
                if not isinstance(argument, Secret):
                    return argument
                if argument.id is not None:
                    return inputs[order[id(argument)]]
                assert argument.call is not None
                return results[id(argument.call)][argument.index]

            for call in calls:
                arguments = jax.tree.unflatten(call.tree, [value(argument) for argument in call.arguments])
                if isinstance(call.function, Named):
                    with jax.named_scope(WRITTEN_AT + call.line):
                        results[id(call)] = jax.tree.leaves(call.function(*arguments))
                else:
                    results[id(call)] = jax.tree.leaves(call.function(*arguments))
            return [value(secret) for secret in todo]

        specs = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
        compiled = compile_function(composite, specs)
        # What the key knows by its identity lives as long as the key, so that no other object gets the same number.
        self._programs[full_key] = (compiled, [_kept(call) for call in calls])
        if len(self._programs) > CACHED_PROGRAMS:
            self._programs.popitem(last=False)
        return compiled, leaves

    def _argument(self, leaf: Any) -> Any:
        if isinstance(leaf, Secret):
            if leaf.device is not self:
                raise InputError(f"{leaf!r} belongs to another device than {self!r}")
            return leaf
        if isinstance(leaf, PlainValue):
            return self.share(leaf)
        if isinstance(leaf, STATIC) or not _is_data(leaf):
            return leaf
        return _public(leaf)


def _is_device_value(leaf: Any) -> bool:
    return isinstance(leaf, (Secret, PlainValue))


def _describe(
    secret: Secret, leaves: list[Secret], order: dict[int, int], calls: list[Call], seen: dict[int, int]
) -> tuple[Any, ...]:
    """Number a secret: ('leaf', i) or ('call', i, index); calls are listed so that arguments come first."""
    if secret.id is not None:
        if id(secret) not in order:
            order[id(secret)] = len(leaves)
            leaves.append(secret)
        return ("leaf", order[id(secret)])
    stack: list[tuple[Secret, bool]] = [(secret, False)]
    while stack:
        current, expanded = stack.pop()
        call = current.call
        if current.id is not None or call is None:
            if current.id is not None and id(current) not in order:
                order[id(current)] = len(leaves)
                leaves.append(current)
            continue
        if id(call) in seen:
            continue
        if expanded:
            seen[id(call)] = len(calls)
            calls.append(call)
            continue
        stack.append((current, True))
        stack.extend((argument, False) for argument in reversed(call.arguments) if isinstance(argument, Secret))
    return ("call", seen[id(secret.call)], secret.index)


def _call_key(call: Call, order: dict[int, int], seen: dict[int, int]) -> tuple[Any, ...]:
    """What makes a call the same: the function, and for each argument its place or its public value."""
    arguments: list[Any] = []
    for argument in call.arguments:
        if isinstance(argument, Secret):
            if argument.id is not None:
                arguments.append(("leaf", order[id(argument)]))
            else:
                arguments.append(("call", seen[id(argument.call)], argument.index))
        elif isinstance(argument, np.ndarray):
            arguments.append((argument.dtype.str, argument.shape, hashlib.sha256(argument.tobytes()).digest()))
        else:
            arguments.append(_identity(argument))
    return (_identity(call.function), call.tree, tuple(arguments))


def _identity(thing: Any) -> Any:
    """What makes a function or a public argument the same: its value where it has one, else the object itself."""
    if isinstance(thing, Named):
        return thing
    if thing is None or isinstance(thing, STATIC):
        return (type(thing), repr(thing))
    if isinstance(thing, MethodType):
        return ("method", id(thing.__self__), id(thing.__func__))
    return ("object", id(thing))


def _kept(call: Call) -> list[Any]:
    """What a call's key knows by identity only."""
    return [
        call.function,
        *[x for x in call.arguments if not isinstance(x, (Secret, np.ndarray)) and not isinstance(x, STATIC)],
    ]


def _is_data(leaf: Any) -> bool:
    if isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return False
    return hasattr(leaf, "__array__") or hasattr(leaf, "to_numpy") or hasattr(leaf, "to_pandas")


def _public(leaf: Any) -> np.ndarray:
    """A public array as it is now, in its own dtype. Raises InputError for what a program's 32-bit integers cannot hold."""
    array = np.asarray(leaf) if isinstance(leaf, (np.ndarray, np.generic, jax.Array)) else as_array(leaf)
    if array.dtype.kind not in "biuf" or isinstance(leaf, np.ma.MaskedArray):
        array = as_array(leaf)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8 and array.size:
        reached = max(int(array.max()), -int(array.min()))
        if reached > np.iinfo(np.int32).max:
            raise InputError(
                f"a public integer array reaches {reached}; integers in a program have 32 bits. "
                "Use real numbers, or share the array from a party."
            )
    return array.copy() if array.flags.writeable else array


def _brief(public: Any) -> str:
    return f"{public.dtype}{list(public.shape)}" if isinstance(public, np.ndarray) else repr(public)[:40]
