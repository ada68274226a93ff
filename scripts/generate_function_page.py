"""Write the table of docs/functions.md from the contracts in the code and from dry runs; with --check, only compare.

Every function of the library has a line: where it is defined, how far it may err, what it reveals, and for each protocol the
rounds and the bytes per element that a compute party and the helper send, counted by a dry run of the real protocol code.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tacit.primitive.mpc.assisted.session import dry_session as dry_assisted
from tacit.primitive.mpc.form import Geometry
from tacit.primitive.mpc.function import FUNCTIONS, contract_of
from tacit.primitive.mpc.replicated.session import dry_session as dry_replicated
from tacit.primitive.mpc.value import Boolean, Fixed, Integer
from tacit.primitive.phantom import phantom

PAGE = Path(__file__).parents[1] / "docs" / "functions.md"
BEGIN = "<!-- generated from the contracts in the code by `make generate`: do not edit below -->\n"
NAMES = ("leader", "follower", "helper")
PROTOCOLS = {"Assisted": dry_assisted, "Replicated": dry_replicated}
N = 6400
BITS = 18

F, Z, B = "fixed", "int", "bool"
CONV = {"geometry": Geometry(padding=(1, 1, 1, 1))}
IMAGE, KERNEL = (1, 10, 10, 64), (3, 3, 64, 64)

# name: (operands as (kind, shape) or public values, parameters). One real operand of N elements where a name is missing.
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    **dict.fromkeys(
        ("add", "sub", "mul", "lt", "gt", "le", "ge", "ne", "eq", "maximum", "minimum"), (((F, (N,)), (F, (N,))), {})
    ),
    **dict.fromkeys(
        ("divide", "atan2", "hypot", "logaddexp", "logaddexp2", "floor_divide", "mod", "trunc_divide", "rem"),
        (((F, (N,)), (F, (N,))), {}),
    ),
    **dict.fromkeys(("logical_and", "logical_or", "logical_xor"), (((B, (N,)), (B, (N,))), {})),
    "logical_not": (((B, (N,)),), {}),
    "rescale": (((F, (N,)),), {"bits": 10}),
    "dot_general": (((F, (80, 64)), (F, (64, 80))), {"axes": ((1,), (0,))}),
    "matmul": (((F, (80, 64)), (F, (64, 80))), {}),
    "conv": (((F, IMAGE), (F, KERNEL)), CONV),
    "conv_image_gradient": (((F, IMAGE), (F, KERNEL)), {**CONV, "image": IMAGE[1:3]}),
    "conv_kernel_gradient": (((F, IMAGE), (F, IMAGE)), {**CONV, "kernel": KERNEL[:2]}),
    "select": (((B, (N,)), (F, (N,)), (F, (N,))), {}),
    "clip": (((F, (N,)), np.float64(-1), np.float64(1)), {}),
    "reshape": (((F, (N,)),), {"shape": (80, 80)}),
    "transpose": (((F, (80, 80)),), {}),
    "moveaxis": (((F, (80, 80)),), {"source": 0, "destination": 1}),
    "broadcast_to": (((F, (N,)),), {"shape": (2, N)}),
    "broadcast_in_dim": (((F, (N,)),), {"shape": (2, N), "axes": (1,)}),
    "expand_dims": (((F, (N,)),), {"axis": 0}),
    "roll": (((F, (N,)),), {"shift": 3}),
    "repeat": (((F, (N,)),), {"count": 2}),
    "tile": (((F, (N,)),), {"counts": 2}),
    "diagonal": (((F, (80, 80)),), {}),
    "slice": (((F, (N,)),), {"start": (0,), "limit": (10,)}),
    "index": (((F, (N,)),), {"key": np.s_[::2]}),
    "take_along_axis": (((F, (N,)),), {"indices": np.arange(N), "axis": 0}),
    "concatenate": (((F, (N,)), (F, (N,))), {}),
    "stack": (((F, (N,)), (F, (N,))), {}),
    "pad": (((F, (N,)),), {"widths": [(1, 1, 0)]}),
    **dict.fromkeys(("all", "any"), (((B, (64, 100)),), {"axis": 1})),
    **dict.fromkeys(("cumall", "cumany"), (((B, (100, 64)),), {})),
    **dict.fromkeys(
        ("sum", "mean", "var", "std", "prod", "max", "min", "argmax", "argmin", "max_and_argmax", "min_and_argmin"),
        (((F, (64, 100)),), {"axis": 1}),
    ),
    **dict.fromkeys(("cumsum", "cumprod", "cummax", "cummin"), (((F, (100, 64)),), {})),
    **dict.fromkeys(("softmax", "log_softmax", "logsumexp"), (((F, (64, 100)),), {"axis": -1})),
    "shuffle": (((F, (N,)),), {}),
    "permute": (((F, (N,)), (Z, (N,))), {}),
    "permute_inverse": (((F, (N,)), (Z, (N,))), {}),
    "invert_permutation": (((Z, (N,)),), {}),
    "take": (((F, (100,)), (Z, (64,))), {}),
    "one_hot": (((Z, (64,)),), {"count": 100}),
    "dynamic_slice": (((F, (100,)),), {"starts": ((Z, ()),), "sizes": (10,)}),
    "dynamic_update_slice": (((F, (100,)), (F, (10,))), {"starts": ((Z, ()),)}),
    "scatter": (((F, (N,)), np.arange(10), (F, (10,))), {}),
    "scatter_add": (((F, (N,)), np.arange(10), (F, (10,))), {}),
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), (((Z, (N,)), (Z, (N,))), {})),
    **dict.fromkeys(("bitwise_not", "popcount"), (((Z, (N,)),), {})),
    **dict.fromkeys(("shift_left", "shift_right", "shift_right_logical"), (((Z, (N,)), np.int64(3)), {})),
    "power": (((F, (N,)), (F, (N,))), {}),
    "float_power": (((F, (N,)), (F, (N,))), {}),
    "integer_pow": (((F, (N,)),), {"exponent": 3}),
}
DATA_DEPENDENT = {"sort", "argsort", "top_k", "permute", "permute_inverse", "invert_permutation"}
"""Their rounds and bytes follow an order that is opened and uniformly random: a dry run cannot know it."""


def main() -> int:
    """Rewrite the page's generated part, or compare it."""
    current = PAGE.read_text()
    written, marker, _ = current.partition(BEGIN)
    if not marker:
        sys.stderr.write(f"{PAGE.name} has lost the line that begins its generated part:\n{BEGIN}")
        return 1
    wanted = "\n".join([written + BEGIN, *table(), ""])
    if "--check" in sys.argv[1:]:
        if current != wanted:
            sys.stderr.write(f"docs/{PAGE.name} is out of date: run `make generate`\n")
        return int(current != wanted)
    PAGE.write_text(wanted)
    return 0


def table() -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| function | domain | outside | error | reveals | Assisted: rounds, bytes | Replicated: rounds, bytes |"
    yield "|---|---|---|---|---|---|---|"
    for name, function in sorted(FUNCTIONS.items()):
        promise = contract_of(function)
        cells = [
            f"`{name}`",
            promise.domain.text,
            promise.domain.outside,
            promise.error.text,
            promise.reveals,
            *[costs(protocol, name) for protocol in PROTOCOLS],
        ]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def costs(protocol: str, name: str) -> str:
    """Rounds, and bytes per element that a compute party and the helper (or the third party) send."""
    if name in DATA_DEPENDENT:
        return "depends on the (random) order"
    operands, params = CALLS.get(name, (((F, (N,)),), {}))
    shapes = [operand[1] for operand in operands if isinstance(operand, tuple)]
    size = max(int(np.prod(shape)) for shape in shapes)
    rounds, sent = 0, []
    for me in NAMES:
        kernel, driver = PROTOCOLS[protocol](NAMES, me)
        before: dict[str, int] = {}

        async def body(k: Any = kernel, d: Any = driver, before: dict[str, int] = before) -> None:
            values = [await operand_of(k, operand) for operand in operands]
            named = {
                key: [await operand_of(k, item) for item in value] if key == "starts" else value
                for key, value in params.items()
            }
            before.update(rounds=d.profile.rounds, payload=d.profile.payload)
            await FUNCTIONS[name](k, *values, **named)

        driver.run(body())
        rounds = max(rounds, driver.profile.rounds - before["rounds"])
        sent.append((driver.profile.payload - before["payload"]) / size)
    if not any(sent):
        return "local"
    last = f"; {sent[2]:.4g} from the helper" if protocol == "Assisted" else f" (third {sent[2]:.4g})"
    return f"{rounds}, {max(sent[:2]):.4g}{last}"


async def operand_of(k: Any, operand: Any) -> Any:
    """A shared operand that was not opened yet, as intermediate values are; or a public value as it is."""
    if not isinstance(operand, tuple):
        return operand
    kind, shape = operand
    share = await k.truncate(await k.share(NAMES[0], shape, phantom(shape)), 1)
    if kind == B:
        return Boolean(await k.negative(share))
    return Fixed(share, BITS) if kind == F else Integer(share)


if __name__ == "__main__":
    sys.exit(main())
