"""`Replicated`: three parties compute on replicated shares; each component is held by two of them.

Threat model: semi-honest, at most one of the three parties corrupted; channels are authenticated and confidential. A party
learns programs, shapes and what is revealed to it. There is no protection against a party that deviates.
Representation: x = x_0 + x_1 + x_2 modulo 2**64 (bits: modulo 2); party i holds x_i and x_(i+1), see `share.py`. What
is random comes from one key for each pair of parties.
Sources: Araki, Furukawa, Lindell, Nof and Ohara (eprint 2016/768) for sharing, products and ANDs, each with a sharing of zero;
ABY3 (eprint 2018/403) for bilinear maps, conversions and adders; ASTRA (eprint 2019/429) and ABY2.0 (eprint 2020/1225) for
what one party can deal to the other two, see `context.py`; truncation after eprint 2019/131 and 2020/338.
"""

from tacit.primitive.mpc.replicated.kernel import ReplicatedKernel

__all__ = ["ReplicatedKernel"]
