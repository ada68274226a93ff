"""Runs the jobs of a graph: each as soon as what it needs is there, all that can at the same time.

Independent jobs on different parties, or at one party beside a protocol, run side by side. A job that fails names itself, its
inputs, device and source line in a note to its error; what depends on it is cancelled, everything else goes on. A call that
does not depend on it, but was to run in one program with a call that does, runs in a program without that.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from tacit.device.executor import Answers, Request, Steps
from tacit.device.graph import Job, plan
from tacit.device.handle import Handle, Task
from tacit.foundation.errors import NodeCancelled, TacitError
from tacit.schedule.lines import Ticket


class Dispatch(Protocol):
    """How the scheduler reaches the parties."""

    def submit(self, request: Request) -> Ticket:
        """Send a command; its ticket is done at once if nobody answers it."""

    def wait(self, tickets: Sequence[Ticket]) -> list[Ticket]:
        """Wait until one ticket is done; those that are."""


def run_graph(
    targets: Sequence[Handle], dispatch: Dispatch, drop: Callable[[Sequence[int]], None], *, timing: bool = False
) -> None:
    """Compute what is pending behind the targets; `drop` forgets results that nobody wants.

    Raises: the error of the first job that failed, once all that does not depend on it is done, with the others in its
    notes; NodeCancelled for a target that needs what failed before. An error that ends the session ends this at once.
    """
    failures: list[TacitError] = []
    jobs = plan(targets)
    while jobs:
        more = _run_jobs(jobs, dispatch, drop, timing=timing)
        failures += more
        again = bool(more) and any(node.failure is not None for job in jobs for node in job.nodes)
        targets = [handle for handle in targets if handle.node is not None and handle.node.failure is None]
        jobs = plan(targets) if again else []
    if failures:
        for other in failures[1:]:
            failures[0].add_note(f"and: {type(other).__name__}: {other}")
        raise failures[0]


def _run_jobs(
    jobs: Sequence[Job], dispatch: Dispatch, drop: Callable[[Sequence[int]], None], *, timing: bool
) -> list[TacitError]:
    missing = {job: len(job.needs) for job in jobs}
    dependents: dict[Job, list[Job]] = {job: [] for job in jobs}
    for job in jobs:
        for need in job.needs:
            dependents[need].append(job)
    ready = deque(job for job in jobs if not missing[job])
    active: dict[Ticket, tuple[Job, Steps, float]] = {}
    failed: list[TacitError] = []

    def go_on(job: Job, steps: Steps, began: float, ticket: Ticket | None) -> None:
        try:
            request = _next(steps, ticket)
            while request is not None:
                ticket = dispatch.submit(request)
                if ticket.waiting:
                    active[ticket] = (job, steps, began)
                    return
                request = _next(steps, ticket)
        except TacitError as error:
            if not any(str(job) in note for note in getattr(error, "__notes__", ())):
                error.add_note(f"in {job}" + _inputs(job))
            failed.append(error)
            for node in job.nodes:
                node.record.state = "pending"
            _cancel(job, error, jobs)
            return
        for node in job.nodes:
            node.record.seconds = time.perf_counter() - began
        drop(job.finish())
        for dependent in dependents[job]:
            missing[dependent] -= 1
            if not missing[dependent]:
                ready.append(dependent)

    while ready or active:
        while ready:
            job = ready.popleft()
            for node in job.nodes:
                node.record.state = "running"
            go_on(job, job.steps(timing=timing), time.perf_counter(), None)
        if active:
            for ticket in dispatch.wait(list(active)):
                go_on(*active.pop(ticket), ticket)
    return failed


def _next(steps: Steps, ticket: Ticket | None) -> Request | None:
    """The next command of a job, or None when it is over; a party's error is thrown into it."""
    try:
        if ticket is None:
            return next(steps)
        try:
            answers: Answers = ticket.result()
        except TacitError as error:
            return steps.throw(error)
        return steps.send(answers)
    except StopIteration:
        return None


def _cancel(failed: Job, error: TacitError, jobs: Sequence[Job]) -> None:
    """Mark what failed and what depends on it. A program that could not be made stays pending: any of its calls may be why."""
    first = failed.nodes[0]
    if not isinstance(first, Task):
        return
    first.fail(error)
    for job in jobs:  # each comes after those it needs, and so do the nodes in it
        for node in job.nodes:
            cause = next((x.node for x in node.inputs if x.node is not None and x.node.failure is not None), None)
            if cause is not None and node.failure is None:
                cancelled = NodeCancelled(
                    f"{node} was not started: {first} failed with {type(error).__name__}: {error}"
                )
                cancelled.__cause__ = error
                node.fail(cancelled)


def _inputs(job: Job) -> str:
    shown = sorted({repr(handle) for node in job.nodes for handle in node.inputs if handle.node is None})
    return f", with {', '.join(shown[:8])}" if shown else ""
