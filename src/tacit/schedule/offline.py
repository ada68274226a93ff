"""Jobs on correlations that were dealt before: two parties compute, and no helper takes part while they do.

```python
job = OfflineJob(score, inputs=[("alice", x.shape), ("bob", y.shape)], reveal_to=["alice"], because="alice pays for it")
job.deal(folder)                                   # at the dealer, once; each file goes to its party
with Session.local("alice", "bob") as session:     # later, without the dealer
    (result,) = job.run(session, folder, [x_at_alice, y_at_bob])
```

A job is planned completely: what is shared by whom, the program, what is revealed to whom and why. Its description is hashed
into both files; a file that was opened is spent (`tacit.primitive.mpc.assisted.offline`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from tacit.compile.execute import execute
from tacit.compile.plan import prepare
from tacit.compile.program import Program
from tacit.compile.serialize import digest, load
from tacit.foundation.errors import InputError, ProtocolMismatch, ShapeError
from tacit.primitive.local import decode, encode
from tacit.primitive.mpc.assisted import AssistedKernel, offline
from tacit.primitive.mpc.kernel import Kernel, Shape
from tacit.primitive.mpc.value import Boolean, Fixed, Value
from tacit.schedule.procedure import PartyView, procedure

if TYPE_CHECKING:
    from tacit.device.plain import PlainValue
    from tacit.schedule.session import Session

DEALER = "dealer"


@final
class OfflineJob:
    """A function of real arrays of two parties, for `Assisted` with an offline dealer.

    inputs: for each argument of the function its owner and shape; the first two owners are the parties.
    Raises: InputError unless exactly two parties own the inputs; what compiling raises.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: Sequence[tuple[str, Shape]],
        *,
        reveal_to: Sequence[str],
        because: str,
        fraction_bits: int = 18,
    ) -> None:
        import jax

        from tacit.compile.build import compile_function

        owners = list(dict.fromkeys(owner for owner, _ in inputs))
        if len(owners) != 2 or DEALER in owners:
            raise InputError(
                f"an offline job has inputs of exactly two parties (none called {DEALER!r}), not of {owners}"
            )
        if not set(reveal_to) <= set(owners) or not reveal_to:
            raise InputError(f"an offline job reveals to its parties {owners}, not to {list(reveal_to)}")
        self.names = (owners[0], owners[1], DEALER)
        specs = [jax.ShapeDtypeStruct(shape, np.float32) for _, shape in inputs]
        self._compiled = compile_function(function, specs)
        self.description: dict[str, Any] = {
            "program": self._compiled.digest,
            "inputs": [[owner, list(shape)] for owner, shape in inputs],
            "reveal_to": list(reveal_to),
            "because": because,
            "fraction_bits": fraction_bits,
        }

    def deal(self, folder: Path) -> dict[str, Path]:
        """Write each party's file of correlations; see `offline.deal`. To be run by the dealer, and never twice."""
        return offline.deal(
            lambda kernel: _job(kernel, self._compiled.program, self.description, {}),
            self.names,
            folder,
            self.description,
        )

    def run(self, session: Session, folder: Path, arguments: Sequence[PlainValue]) -> list[np.ndarray]:
        """Run the job once on the parties' own values; the outputs, as the parties in `reveal_to` now know them.

        Raises: CorrelationReused, ProtocolMismatch, and ShapeError where a value does not fit the plan.
        """
        plan = self.description["inputs"]
        if len(arguments) != len(plan):
            raise ShapeError(f"the job takes {len(plan)} arguments, not {len(arguments)}")
        for value, (owner, shape) in zip(arguments, plan, strict=True):
            if value.device.party != owner or list(value.shape) != shape:
                raise ShapeError(f"the job was planned for an array of shape {shape} at {owner}, not for {value!r}")
        own = {name: [v for v in arguments if v.device.party == name] for name in self.names[:2]}
        params = {"description": self.description, "names": list(self.names), "folder": str(folder.resolve())}
        blob = np.frombuffer(self._compiled.data, np.uint8)
        count = len(self._compiled.program.outputs)
        results, _ = session.procedure("offline", own, params, count, blobs=[blob])
        receiver = self.description["reveal_to"][0]
        return [session.plain(receiver).get(value) for value in results[receiver]]


@procedure("offline")
def run_offline(
    view: PartyView, description: Mapping[str, Any], names: Sequence[str], folder: str
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """One party's side of an offline job: spend the correlations, share, compute, reveal."""
    program = load(view.blobs[0].tobytes())
    if digest(program) != description["program"]:
        raise ProtocolMismatch("the program sent is not the one that the job describes")
    bits = description["fraction_bits"]
    mine = [np.asarray(array, np.float64) for array in view.inputs]
    places = [place for place, (owner, _) in enumerate(description["inputs"]) if owner == view.name]
    rings = {place: encode(array, bits) for place, array in zip(places, mine, strict=True)}

    async def body() -> list[np.ndarray]:
        path = Path(folder) / f"{view.name}.correlations"
        kernel = await offline.open_session(view.driver, names, path, description)
        return await _job(kernel, program, description, rings)

    try:
        results = view.driver.run(body())
    finally:
        view.driver.channels.pop(names[2], None)
    job = sha256(json.dumps(dict(description), sort_keys=True).encode()).hexdigest()
    for result in results:
        view.ledger.append(
            "reveal",
            what="result of an offline job",
            shape=list(np.shape(result)),
            to=list(description["reveal_to"]),
            because=description["because"],
            program=description["program"],
            job=job,
        )
    return results, {}


def _job(
    kernel: AssistedKernel, program: Program, description: Mapping[str, Any], rings: Mapping[int, Any]
) -> Coroutine[Any, Any, list[np.ndarray]]:
    """The whole job, the same at the dealer and at both parties; a party that learns nothing gets empty arrays."""
    bits, to = description["fraction_bits"], description["reveal_to"]

    async def body() -> list[np.ndarray]:
        values: list[Value] = []
        for place, (owner, shape) in enumerate(description["inputs"]):
            values.append(Fixed(await kernel.share(owner, tuple(shape), rings.get(place)), bits))
        outputs = await execute(kernel, kernel.context.driver, prepare(program, bits), values)
        return [await _revealed(kernel, output, to) for output in outputs]

    return body()


async def _revealed(kernel: Kernel, value: Value, to: Sequence[str]) -> np.ndarray:
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Boolean):
        bits = await kernel.reveal_bits(value.share, to)
        return np.empty(0) if bits is None else bits
    ring = await kernel.reveal(value.share, to)
    if ring is None:
        return np.empty(0)
    return decode(ring, value.bits) if isinstance(value, Fixed) else ring.view(np.int64)
