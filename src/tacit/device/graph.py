"""From handles that are wanted to jobs that can be run: what is pending, in which order, and what runs as one program.

A `Task` is a job of its own. Calls on an MPC device are fused: all that can run with the same inputs from other devices make
one program, so that the passes and the driver see the whole computation and independent parts share rounds. A call that
waits for another device starts a later program; those that do not, run meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tacit.device.executor import Steps
from tacit.device.handle import Handle, Node, Task
from tacit.device.secret import Call, Secret
from tacit.foundation.errors import NodeCancelled


@dataclass(eq=False, slots=True)
class Job:
    """What is started as a whole: a task, or calls that run as one program. `wanted` are the handles it has to hold."""

    device: Any
    nodes: list[Node] = field(default_factory=list)
    wanted: dict[int, Handle] = field(default_factory=dict)
    needs: set[Job] = field(default_factory=set)

    def steps(self, *, timing: bool = False) -> Steps:
        """The commands of this job."""
        first = self.nodes[0]
        if isinstance(first, Task):
            return first.steps()
        secrets = [handle for handle in self.wanted.values() if isinstance(handle, Secret)]
        steps: Steps = self.device.program_steps(secrets, set(self.nodes), timing=timing)
        return steps

    def finish(self) -> list[int]:
        """Everything wanted is held now; the numbers of results that nobody wants any more."""
        if isinstance(self.nodes[0], Task):
            return self.nodes[0].done()
        for handle in self.wanted.values():
            if handle.node is not None:
                handle.hold()
        for node in self.nodes:
            node.record.state = "done"
        return []

    def __str__(self) -> str:
        return (
            str(self.nodes[-1])
            if len(self.nodes) == 1
            else f"a program of {len(self.nodes)} calls with {self.nodes[-1]}"
        )


def plan(targets: Sequence[Handle]) -> list[Job]:
    """The jobs that lead to the targets, each after those it needs.

    Raises: NodeCancelled where a target depends on a node that failed.
    """
    depth: dict[Node, int] = {}
    jobs: dict[Any, Job] = {}
    owner: dict[Node, Job] = {}
    for node in _pending(targets):
        depth[node] = max((_depth(node, handle, depth) for handle in node.inputs), default=0)
        key = (node.device, depth[node]) if isinstance(node, Call) else node
        job = jobs.setdefault(key, Job(node.device))
        job.nodes.append(node)
        owner[node] = job
        for handle in node.inputs:
            if handle.node is not None and owner[handle.node] is not job:
                owner[handle.node].wanted[handle.id] = handle
                job.needs.add(owner[handle.node])
    for handle in targets:
        if handle.node is not None:
            owner[handle.node].wanted[handle.id] = handle
    return _ordered(list(jobs.values()))


def _depth(node: Node, handle: Handle, depth: dict[Node, int]) -> int:
    """How many pending changes to another device lie behind an input."""
    source = handle.node
    if source is None:
        return 0
    return depth[source] + (isinstance(node, Call) and not (isinstance(source, Call) and source.device is node.device))


def _pending(targets: Sequence[Handle]) -> list[Node]:
    """Every node that must run, after those it needs."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack = [(handle.node, False) for handle in reversed(targets) if handle.node is not None]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
            continue
        if node in seen:
            continue
        if node.failure is not None:
            raise cancelled(node)
        seen.add(node)
        stack.append((node, True))
        stack.extend((handle.node, False) for handle in reversed(node.inputs) if handle.node is not None)
    return order


def _ordered(jobs: list[Job]) -> list[Job]:
    done: dict[Job, None] = {}
    while len(done) < len(jobs):
        for job in jobs:
            if job not in done and all(need in done for need in job.needs):
                done[job] = None
    return list(done)


def cancelled(node: Node) -> NodeCancelled:
    """What is raised instead of running what needs a failed node."""
    error = NodeCancelled(f"{node} has no result: {type(node.failure).__name__}: {node.failure}")
    error.__cause__ = node.failure
    return error
