"""`Assisted`: two parties compute on additive shares, a helper deals correlated randomness.

Threat model: semi-honest, at most one of the three parties corrupted. The helper sees shapes and the programs, no
share and no opening; it must not collude with a compute party.
Representation: x = x_0 + x_1 modulo 2**64. A value that enters a product or a comparison is opened once as X = x + r
under a mask that the helper knows (r = r_0 + r_1, each share expanded from a seed that the helper has in common with one
compute party); X and r then follow the value through every linear operation.
Sources: masked evaluation: ASTRA (eprint 2019/429), ABY2.0 (eprint 2020/1225). Truncation: Dalskov, Escudero and Keller (eprint 2019/131),
edaBits (eprint 2020/338). Comparison: multi-input AND prefix trees of ABY2.0 on dealt digit indicators.
"""

from tacit.primitive.mpc.assisted.kernel import AssistedKernel

__all__ = ["AssistedKernel"]
