"""Parameters of LPN with regular noise, the assumption that silent transfers rest on.

LPN(n, k, t): for a public random A [n, k], the bits A x ^ e are pseudorandom, x uniform in k bits, e of n = t 2**h bits with a
single 1 at a uniform place of each of t blocks. A is 10-local here: ten random ones in every row, as in Ferret.

The least cost, log2 of bit operations, over the attacks that are published: pooled Gauss, information-set decoding (Stern, BJMM)
and statistical decoding as of Liu, Wang, Yang and Yu (eprint 2022/712); decoding that knows of the blocks by Esser and Santini
(2023/1568); algebra by Briaud and Oeygarden (2023/176) and its sequel (2025/1476); guess and linearise, the hybrid of 2025/1284,
which is the best one for all sets:

    set      blocks t  2**h  table k   Gauss  ISD  regular ISD  algebra  hybrid
    SMALL        1170  2**11   144000    152  144          146      172     138
    MEDIUM       1400  2**12   280000    151  145          147      171     137
    LARGE        1319  2**13   589760    160  153          156      184     150

LARGE is Ferret's own. Ferret's small set (1269, 2**9, 36288) is not offered: the hybrid breaks it in 2**122. A table of 2**17
beside SMALL's noise would give 2**128 exactly; these sets keep some ten bits of distance for what is found next.
An x of 10-local rows has no attack of its own that is known at these sizes; there is no proof either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tacit.foundation.errors import InputError
from tacit.primitive.ot.block import BLOCK_BITS

MAX_DEPTH = 24
MAX_TABLE = 1 << 30


@final
@dataclass(frozen=True)
class Noise:
    """`trees` blocks of 2**`depth` places with one 1 each, over a secret of `table` bits. The constructor does not judge
    whether an instance is hard: use SMALL, MEDIUM or LARGE. Raises: InputError for one that uses up more than it yields.
    """

    trees: int
    depth: int
    table: int

    def __post_init__(self) -> None:
        if self.trees < 1 or not 1 <= self.depth <= MAX_DEPTH or not 1 <= self.table <= MAX_TABLE:
            raise InputError(
                f"noise needs trees >= 1, depth in 1 .. {MAX_DEPTH}, table in 1 .. 2**30; "
                f"not {self.trees}, {self.depth}, {self.table}"
            )
        if self.fresh < 1:
            raise InputError(
                f"an iteration of {self} takes {self.inputs} correlations and yields {self.outputs}. Add trees or depth."
            )

    @property
    def outputs(self) -> int:
        """Correlations that an iteration yields."""
        return self.trees << self.depth

    @property
    def inputs(self) -> int:
        """Correlations that an iteration takes: the secret, one per level of every tree, and the check's masks."""
        return self.table + self.trees * self.depth + BLOCK_BITS

    @property
    def fresh(self) -> int:
        """Correlations that are left when the next iteration has its own."""
        return self.outputs - self.inputs


SMALL = Noise(trees=1170, depth=11, table=144_000)
"""2.2 million correlations and 41 MB at a time, 0.74 bits each."""
MEDIUM = Noise(trees=1400, depth=12, table=280_000)
"""5.4 million correlations and 96 MB at a time, 0.40 bits each."""
LARGE = Noise(trees=1319, depth=13, table=589_760)
"""10.2 million correlations and 182 MB at a time, 0.22 bits each."""
