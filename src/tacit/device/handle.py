"""Handles and nodes: the graph that calls on devices build.

A `Handle` is an array on a device, known by shape and type only. It is either held by its parties, under a number, or still to
be computed by a `Node`. Nodes know the handles they need; `tacit.device.graph` orders them, a session runs them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tacit.device.executor import Executor, Steps
from tacit.foundation.errors import NodeCancelled


class Device:
    """A place and a representation. Subclasses: `Plain`, `MPC`, `HE`, `TEE`."""

    executor: Executor
    names: tuple[str, ...]
    """The parties that take part."""
    kind: str
    sees: str
    """Who can see a value that lives here, in words."""


@dataclass(slots=True)
class Record:
    """What stays of a node for the picture of the graph: never a value."""

    number: int
    what: str
    device: str
    kind: str
    sees: str
    line: str
    inputs: tuple[int, ...]
    outputs: tuple[str, ...] = ()
    state: str = "pending"
    seconds: float = 0.0
    error: str = ""


class Handle:
    """An array on a device: held by the parties as `id` when `node` is None, else result `index` of `node`.

    `owners` are the parties whose own data it depends on: those of what it was computed from, and all parties of the session
    where nobody said so. Their privacy budgets guard it, see `tacit.device.privacy`.
    """

    __slots__ = ("__weakref__", "device", "dtype", "id", "index", "node", "owners", "shape", "source")

    def __init__(
        self,
        device: Any,
        shape: Sequence[int],
        dtype: Any,
        *,
        id: int | None = None,
        node: Node | None = None,
        index: int = 0,
        owners: Iterable[str] | None = None,
    ) -> None:
        self.device = device
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.node = node
        self.index = index
        self.source: int = node.record.number if node is not None else 0
        self.owners = (
            frozenset(device.executor.parties if node is None else node.owners) if owners is None else frozenset(owners)
        )
        self.id = id if id is not None else device.executor.new_id()
        if node is None:
            self.hold()
        else:
            node.outputs.append((self.id, weakref.ref(self)))

    @property
    def held(self) -> bool:
        """Whether the parties hold the value already."""
        return self.node is None

    def hold(self) -> None:
        """The parties now hold this value; forget how it came about, and have it dropped with this handle."""
        self.node = None
        weakref.finalize(self, self.device.executor.drop_later, [self.id]).atexit = False

    def to(self, device: Any, *, because: str = "", privacy: Any = None, release_exact: str = "") -> Any:
        """The same array on another device, by the conversion matrix `tacit.device.transfer.TRANSFERS`.

        because: needed where a party learns the value; it goes into the ledgers. privacy: noise that is added before a party
        learns it, and charged to the budgets of the owners of what it depends on. release_exact: why a value that such a
        budget guards is shown without noise; it is written down as that.
        Raises: NoRoute for a pair that has no conversion, with a route that there is; InputError for a missing reason;
            PolicyError for a guarded value with neither; BudgetExhausted, when the result is needed.
        """
        from tacit.device.transfer import transfer

        return transfer(self, device, because=because, privacy=privacy, release_exact=release_exact)

    def result(self) -> Any:
        """Compute this value now, with all it depends on. Returns the handle."""
        self.device.executor.run(self)
        return self

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))


class Node:
    """One computation on one device. `inputs` keeps what it needs alive until it ran."""

    __slots__ = ("__weakref__", "device", "failure", "inputs", "line", "outputs", "owners", "record")

    def __init__(self, device: Any, what: str, inputs: Sequence[Handle], line: str) -> None:
        self.device = device
        self.inputs: tuple[Handle, ...] = tuple(inputs)
        self.owners: frozenset[str] = frozenset().union(*(handle.owners for handle in inputs))
        self.line = line
        self.outputs: list[tuple[int, weakref.ref[Handle]]] = []
        self.failure: BaseException | None = None
        self.record: Record = Record(
            number=device.executor.new_id(),
            what=what,
            device=repr(device),
            kind=device.kind,
            sees=device.sees,
            line=line,
            inputs=tuple(handle.source for handle in inputs),
        )
        device.executor.note(self.record)

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        return f"node {self.record.number}, {self.record.what!r} on {self.record.device}{at}"

    def live(self) -> list[Handle]:
        """The results that somebody still has."""
        return [handle for _, ref in self.outputs if (handle := ref()) is not None]

    def done(self) -> list[int]:
        """Mark the results as held; the numbers of those that nobody wants any more."""
        unwanted = []
        for id, ref in self.outputs:
            handle = ref()
            if handle is None:
                unwanted.append(id)
            elif handle.node is not None:
                handle.hold()
        self.inputs = ()
        self.record.state = "done"
        return unwanted

    def fail(self, error: BaseException) -> None:
        """Keep why this node has no result, and release what it needed."""
        self.failure = error
        self.inputs = ()
        self.record.state = "cancelled" if isinstance(error, NodeCancelled) else "failed"
        self.record.error = type(error).__name__


class Task(Node):
    """A node that runs by itself, by commands to its parties. detail: what a plan says of it, as JSON."""

    __slots__ = ("detail", "steps")

    def __init__(
        self,
        device: Any,
        what: str,
        inputs: Sequence[Handle],
        line: str,
        steps: Callable[[], Steps],
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(device, what, inputs, line)
        self.steps = steps
        self.detail = dict(detail or {})
