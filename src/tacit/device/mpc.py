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
from functools import wraps
from pathlib import Path
from types import MethodType
from typing import Any, final

import jax
import numpy as np

from tacit.compile.build import Compiled, compile_function
from tacit.compile.front.jax.source import WRITTEN_AT
from tacit.device.caller import user_line
from tacit.device.executor import Executor, Steps, ask, tell
from tacit.device.handle import Device, Handle, Node, Task
from tacit.device.named import Named
from tacit.device.plain import STATIC, PlainValue, as_array
from tacit.device.secret import Call, Secret
from tacit.foundation.errors import ConfigError, InputError, SecrecyError, TacitError
from tacit.primitive.mpc.protocol import Protocol, protocol_name

CACHED_PROGRAMS = 256
DTYPES = {"fixed": np.dtype(np.float32), "int": np.dtype(np.int32), "bool": np.dtype(np.bool_)}
_KINDS = {"f": np.float32, "i": np.int32, "u": np.int32, "b": np.bool_}


@final
class MPC(Device):
    """Parties that compute on shares under one protocol. Print it for its threat model."""

    kind = "mpc"

    def __init__(self, executor: Executor, protocol: Protocol, names: Sequence[str]) -> None:
        self.executor = executor
        self.protocol = protocol
        self.names = tuple(names)
        self.sees = f"shared between {', '.join(self.names)}: no single party"
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
        executor.ask(self.names, "open", fields)
        self.last_run: dict[str, Mapping[str, Any]] = {}

    def __str__(self) -> str:
        return f"{self.protocol}\nParties: {', '.join(self.names)}"

    def __repr__(self) -> str:
        return f"MPC({protocol_name(self.protocol)}: {', '.join(self.names)})"

    def lane(self, names: Sequence[str]) -> MPC:
        """The same device between other processes of the same parties; both know each other's compiled programs."""
        other = MPC(self.executor, self.protocol, names)
        other._programs = self._programs
        return other

    # --- in -----------------------------------------------------------------------------------------------------

    def share(self, value: PlainValue) -> Secret:
        """Share a party's plain value. The same value is shared once, and stays shared as long as its handle lives.

        A value that is there is shared now; one that is still to be computed is shared when it is.

        Reveals: nothing. Costs: 1 round, 8 bytes per element from the owner.
        Raises: FixedPointOverflow, DomainError or InputError of the owner before anything moves.
        """
        known = self._shared.get(value)
        if known is not None:
            return known
        owner = value.device.party
        if owner not in self.names:
            raise ConfigError(f"{owner} takes no part in {self!r} and cannot share a value with it")

        def steps() -> Steps:
            fields = {"device": self.number, "source": value.id, "id": secret.id}
            facts, _ = (yield ask([owner], "encode", fields))[owner]
            fields = {"device": self.number, "owner": owner, "id": secret.id, **facts}
            yield tell(self.names, "share", fields)

        task = Task(self, "share", [value], user_line(), steps)
        kind = _KINDS.get(value.dtype.kind, np.float32)
        secret = Secret(self, value.shape, kind, node=task)
        if value.held:
            self.executor.run(secret)
        self._shared[value] = secret
        return secret

    def constant(self, data: Any) -> Secret:
        """A public array as a secret, to start a computation from. Costs: nothing."""
        array = as_array(data)
        id = self.executor.new_id()
        answers = self.executor.ask(self.names, "constant", {"device": self.number, "id": id}, [array])
        return Secret(self, array.shape, DTYPES[answers[self.names[0]][0]["kind"]], id=id, owners=())

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
            name: Secret(self, shape, DTYPES[kind], id=id)
            for name, id, (kind, shape) in zip(names, ids, described, strict=True)
        }

    # --- computing ----------------------------------------------------------------------------------------------

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function on this device: arguments may be secrets, plain values (shared on the way) and public arrays.

        Also as a decorator. Arguments and results may be any structure (pytree).
        """

        @wraps(function)
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
        call = Call(self, function, flat, tree, line)
        results = [Secret(self, o.shape, o.dtype, node=call, index=i) for i, o in enumerate(outputs)]
        return jax.tree.unflatten(out_tree, results)

    def numpy(self, name: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> Any:
        """A function of `jax.numpy` by name, for operators and NumPy's dispatch."""
        return self.apply(Named(name), (tuple(arguments), dict(options)))

    def run(self, values: Sequence[Secret], *, timing: bool = False) -> None:
        """Compute pending secrets now, together with what they depend on; they stay shared.

        `last_run` then holds, by party, the seconds, rounds, bytes and messages of the last program.
        """
        self.executor.run(list(values), timing=timing)

    def program_steps(self, todo: list[Secret], calls: set[Node], *, timing: bool) -> Steps:
        """Run calls as one program whose outputs are `todo`; everything else they use is held."""
        compiled, leaves = self._compile(todo, calls)
        if compiled.digest not in self._loaded:
            blob = np.frombuffer(compiled.data, np.uint8)
            yield tell(self.names, "program", {"digest": compiled.digest}, [blob])
            self._loaded.add(compiled.digest)
        fields = {
            "device": self.number,
            "digest": compiled.digest,
            "inputs": [leaf.id for leaf in leaves],
            "outputs": [secret.id for secret in todo],
            "timing": timing,
        }
        answers = yield ask(self.names, "run", fields)
        self.last_run = {party: facts for party, (facts, _) in answers.items()}

    def compile(self, values: Sequence[Secret]) -> Compiled:
        """The program that would compute the pending secrets: print it, price it, hash it.

        Where values from other devices are still to come, it is the program as if they had.
        """
        todo = list(values)
        return self.program(todo, _calls_behind(todo))

    def program(self, todo: list[Secret], calls: set[Node]) -> Compiled:
        """The program of exactly these calls."""
        return self._compile(todo, calls)[0]

    def _compile(self, todo: list[Secret], inside: set[Node]) -> tuple[Compiled, list[Secret]]:
        leaves: list[Secret] = []
        order: dict[int, int] = {}
        calls: list[Call] = []
        seen: dict[int, int] = {}
        key = tuple(_describe(secret, inside, leaves, order, calls, seen) for secret in todo)
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
                if id(argument) in order:
                    return inputs[order[id(argument)]]
                return results[id(argument.node)][argument.index]

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
        if isinstance(leaf, Secret) and leaf.device is self:
            return leaf
        if isinstance(leaf, PlainValue):
            return self.share(leaf)
        if isinstance(leaf, Handle):
            raise InputError(f"{leaf!r} belongs to another device than {self!r}; bring it here with x.to(mpc)")
        if isinstance(leaf, STATIC) or not _is_data(leaf):
            return leaf
        return _public(leaf)


def _is_device_value(leaf: Any) -> bool:
    return isinstance(leaf, Handle)


def _describe(
    secret: Secret,
    inside: set[Node],
    leaves: list[Secret],
    order: dict[int, int],
    calls: list[Call],
    seen: dict[int, int],
) -> tuple[Any, ...]:
    """Number a secret: ('leaf', i) or ('call', i, index); calls are listed so that arguments come first.

    A leaf is whatever no call of `inside` computes.
    """

    def leaf(secret: Secret) -> tuple[Any, ...]:
        if id(secret) not in order:
            order[id(secret)] = len(leaves)
            leaves.append(secret)
        return ("leaf", order[id(secret)])

    if secret.node not in inside:
        return leaf(secret)
    stack: list[tuple[Secret, bool]] = [(secret, False)]
    while stack:
        current, expanded = stack.pop()
        call = current.node
        if not isinstance(call, Call) or call not in inside:
            leaf(current)
            continue
        if id(call) in seen:
            continue
        if expanded:
            seen[id(call)] = len(calls)
            calls.append(call)
            continue
        stack.append((current, True))
        stack.extend((argument, False) for argument in reversed(call.arguments) if isinstance(argument, Secret))
    return ("call", seen[id(secret.node)], secret.index)


def _calls_behind(secrets: Sequence[Secret]) -> set[Node]:
    """Every pending call on the same device that leads to the secrets without leaving the device."""
    found: set[Node] = set()
    stack = [secret.node for secret in secrets]
    while stack:
        node = stack.pop()
        if isinstance(node, Call) and node not in found:
            found.add(node)
            stack.extend(argument.node for argument in node.arguments if isinstance(argument, Secret))
    return found


def _call_key(call: Call, order: dict[int, int], seen: dict[int, int]) -> tuple[Any, ...]:
    """What makes a call the same: the function, and for each argument its place or its public value."""
    arguments: list[Any] = []
    for argument in call.arguments:
        if isinstance(argument, Secret):
            if id(argument) in order:
                arguments.append(("leaf", order[id(argument)]))
            else:
                arguments.append(("call", seen[id(argument.node)], argument.index))
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
