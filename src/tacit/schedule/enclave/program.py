"""What an enclave runs for a job: a function of the library, or an exported JAX program that the owners named by hash."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np

from tacit.foundation.errors import EnclaveError, JobRefused
from tacit.primitive.tee import Job, Program
from tacit.schedule.enclave.function import ENCLAVE_FUNCTIONS


def export_program(function: Callable[..., Any], arguments: Sequence[tuple[tuple[int, ...], str]]) -> bytes:
    """Export a JAX function of arrays with these shapes and dtypes; its results are flattened in JAX's order."""
    import jax
    from jax import export

    specs = [jax.ShapeDtypeStruct(shape, np.dtype(dtype)) for shape, dtype in arguments]

    def flat(*values: Any) -> list[Any]:
        return jax.tree.leaves(function(*values))

    with jax.enable_x64(True):
        return bytes(export.export(jax.jit(flat), platforms=["cpu"])(*specs).serialize())


Runnable: TypeAlias = Callable[..., Sequence[Any]]


def program_of(blob: bytes) -> Program:
    """How a job names an exported program."""
    return Program("exported", hashlib.sha256(blob).hexdigest())


def prepare_program(job: Job, blob: bytes | None) -> Runnable:
    """The job's program, ready to run; nothing of any input is needed for this.

    Raises: JobRefused when it is another one, unknown, does not take the job's inputs, or does more than compute.
    """
    if job.program.kind == "function":
        if job.program.name not in ENCLAVE_FUNCTIONS:
            raise JobRefused(f"no enclave function {job.program.name!r}; installed are {sorted(ENCLAVE_FUNCTIONS)}")
        if blob is not None:
            raise JobRefused(f"{job.program.text} is of the library; a program came with it that nobody asked for")
        return partial(ENCLAVE_FUNCTIONS[job.program.name], **job.program.params)
    if blob is None:
        raise JobRefused(f"{job.program.text} did not come with its job")
    if not hmac.compare_digest(hashlib.sha256(blob).hexdigest(), job.program.name):
        raise JobRefused(
            f"the program that came ({len(blob)} bytes) is not {job.program.text}: it was swapped or changed"
        )
    return _exported(job, blob)


def run_program(job: Job, program: Runnable, values: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Run a prepared program on the opened inputs.

    Raises: EnclaveError naming the kind of failure only: the text of an error could hold data. JobRefused when it gives
    another number of results than the job has outputs.
    """
    try:
        results = [np.asarray(result, order="C") for result in program(*values)]
    except Exception as error:  # noqa: BLE001  whatever it is, only its kind may leave
        raise EnclaveError(
            f"{job.program.text} failed in enclave {job.enclave} with {type(error).__name__}. What it says stays inside; "
            "run the program on data of your own to see it"
        ) from None
    if len(results) != len(job.outputs):
        raise JobRefused(f"{job.program.text} gives {len(results)} results; the job names {len(job.outputs)} outputs")
    return results


def _exported(job: Job, blob: bytes) -> Runnable:
    import jax
    from jax import export

    try:
        with jax.enable_x64(True):
            exported = export.deserialize(bytearray(blob))
            module = exported.mlir_module()
    except Exception as error:  # noqa: BLE001  a damaged program can fail in any way
        raise JobRefused(f"{job.program.text} is no exported JAX program ({type(error).__name__})") from None
    check_calls(module)
    takes = [(np.dtype(aval.dtype).str, tuple(aval.shape)) for aval in exported.in_avals]
    given = [(entry.dtype, entry.shape) for entry in job.inputs]
    if takes != given:
        raise JobRefused(f"{job.program.text} takes {takes}, and the job's inputs are {given}")

    def call(*values: np.ndarray) -> Sequence[Any]:
        with jax.enable_x64(True):
            return [np.asarray(result) for result in exported.call(*values)]

    return call


def check_calls(module: str) -> None:
    """Return if a StableHLO module computes, and does nothing else.

    A custom call names a function of the process and can carry an address in its configuration; some of JAX's run
    Python. Only LAPACK's are let in. Raises: JobRefused naming the first other one.
    """
    for found in FOREIGN.finditer(module):
        if not ALLOWED.match(module, found.start()):
            what = module[found.start() : found.start() + 60].partition("\n")[0]
            raise JobRefused(
                f"the exported program reaches out of its computation: {what!r}. Use JAX's own array functions; "
                "callbacks, foreign functions and transfers do not run in an enclave"
            )


FOREIGN: Final = re.compile(r"custom_call|call_target_name|stablehlo\.(infeed|outfeed|send|recv)")
ALLOWED: Final = re.compile(r"custom_call @(lapack_[a-z0-9]+_ffi|Sharding)\(")
