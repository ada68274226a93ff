"""How many neighbours a client needs, and how many of them recover it: computed from what may go wrong.

Of n clients at most c are corrupted (they follow the server's orders) and at most d fall silent. The neighbourhoods are
those of `tacit.primitive.secagg.graph`: everybody on a ring in a random order, tied to the k/2 next ones on either
side; or everybody tied to everybody. The numbers that are chosen are thresholds on random samples, so that each failure
is a tail
of a hypergeometric distribution: the paper's events, and two more for a server that cheats.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

from tacit.foundation.errors import ConfigError


@final
@dataclass(frozen=True)
class Plan:
    """The numbers of one aggregation. Make it by `plan`; all clients and the server hold the same one.

    clients: n. neighbours: k, of every client. threshold: shares that recover a client's mask (t of k).
    witnesses: clients whose signatures settle who survived. quorum: signatures that settle it (q of the witnesses).
    window, occupancy: among any `window` successive places of the ring at least `occupancy` survive. least: clients
    that a sum must contain. corrupted: c, the most that may collude with the server.
    """

    clients: int
    neighbours: int
    threshold: int
    witnesses: int
    quorum: int
    window: int
    occupancy: int
    least: int
    corrupted: int

    def __post_init__(self) -> None:
        n = self.clients
        complete = self.neighbours == n - 1
        sound = (
            2 <= n < MAX_CLIENTS
            and 1 <= self.threshold <= self.neighbours < n
            and (complete or (self.neighbours % 2 == 0 and self.window == self.neighbours // 2))
            and 0 <= self.corrupted <= n - 2
            and (
                not complete or (self.threshold > self.corrupted and 2 * self.quorum > self.witnesses + self.corrupted)
            )
            and self.witnesses <= n
            and self.witnesses < 2 * self.quorum <= 2 * self.witnesses
            and 1 <= self.occupancy <= self.window <= n
            and self.corrupted + 2 <= self.least <= n
        )
        if not sound:
            raise ConfigError(f"{self} is contradictory. Make plans by tacit.primitive.secagg.planning.plan.")

    @property
    def complete(self) -> bool:
        """Whether everybody is everybody's neighbour, as in Bonawitz et al.; otherwise as in SecAgg+."""
        return self.neighbours == self.clients - 1

    @property
    def may_drop(self) -> int:
        """The most clients that may fall silent, over all rounds together."""
        return self.clients - self.least


def plan(
    clients: int,
    *,
    drop_out: float = 0.1,
    corruption: float = 0.1,
    security_bits: int = 40,
    failure_bits: int = 20,
    complete: bool | None = None,
) -> Plan:
    """The smallest plan for these risks.

    clients: n >= 2. drop_out, corruption: the fractions of clients that at most fall silent, and at most collude with
    the server; rounded down to d and c clients. complete: True for neighbourhoods of everybody, False for those of
    SecAgg+, None for everybody up to 50 clients, where little can be saved, and from there on for what is smaller.
    Error: with random neighbourhoods, a client outside c is exposed with probability at most 2**-security_bits, and an
        honest run fails, though no more than d clients chosen independently of the neighbourhoods fell silent, with
        probability at most 2**-failure_bits. With complete ones both are 0.
    Raises: ConfigError where no numbers fit, as c + 2 d < n - 1 must hold.
    Source: Bell, Bonawitz, Gascon, Lepoint and Raykova, eprint 2020/704, sections 3.3 and 4; the events of `_ring_plan`
        are ours where they are marked so.
    """
    if not 2 <= clients < MAX_CLIENTS:
        raise ConfigError(f"a sum needs between 2 and {MAX_CLIENTS - 1} clients, not {clients}")
    for name, rate in (("drop_out", drop_out), ("corruption", corruption)):
        if not 0 <= rate < 1:
            raise ConfigError(f"{name} is a fraction, at least 0 and below 1, not {rate}")
    if min(security_bits, failure_bits) < 1:
        raise ConfigError(f"security_bits and failure_bits are at least 1, not {security_bits} and {failure_bits}")
    # A rate such as 0.07 of 100 clients means 7 of them, whatever the product rounds to.
    dropped, corrupted = (math.floor(rate * clients + 1e-9) for rate in (drop_out, corruption))
    everybody = clients <= _FEW if complete is None else complete
    found = None if everybody else _ring_plan(clients, dropped, corrupted, security_bits, failure_bits)
    if found is None and complete is not False:
        found = _complete_plan(clients, dropped, corrupted)
    if found is None:
        raise ConfigError(
            f"no neighbourhoods of {clients} clients stand {dropped} drop-outs and {corrupted} corrupted clients "
            f"with {security_bits} bits of security. Have more clients, or lower drop_out or corruption: corrupted plus twice "
            f"the drop-outs must stay below {clients - 1}."
        )
    return found


def _complete_plan(n: int, d: int, c: int) -> Plan | None:
    """Everybody tied to everybody: nothing is left to chance. Every number is the largest that d drop-outs leave."""
    if c + 2 * d >= n - 1:
        return None
    # The threshold exceeds c, and two sets with a quorum each share an honest witness: 2 (n - d) > n + c.
    return Plan(n, n - 1, n - 1 - d, n, n - d, n, n - d, n - d, c)


def _ring_plan(n: int, d: int, c: int, security_bits: int, failure_bits: int) -> Plan | None:
    """The smallest k for a ring in random order, or None.

    Every threshold is the largest that honest drop-outs leave standing, but for a share of 2**-failure_bits:
      t: all n clients keep t neighbours that answer, each a sample of k among the n - 1 others;
      o: every one of n windows of k/2 places keeps o survivors;
      q: the witnesses keep a quorum q.
    Against it stand, each with a share of 2**-security_bits:
      an honest client with t corrupted neighbours, who could recover its masks (the paper's event);
      a window without an honest survivor, though o survive: the survivors' graph might fall apart there. The paper
      counts windows that are corrupted or silent; here the server may choose who falls silent, so that o corrupted ones
      are counted, and clients check that o survive (ours);
      2q - m corrupted witnesses out of m, who could sign two sets of survivors (ours).
    """
    if n - d < c + 2:
        return None
    unsafe, unlucky = (math.log(1 / 3) - bits * math.log(2) for bits in (security_bits, failure_bits))
    each = math.log(n)

    def kept(population: int, sample: int, copies: float) -> int:
        """The most members of the sample that are left, but for the unlucky share."""
        lost = _quantile(population, min(d, population), sample, unlucky - copies)
        return sample - lost

    def safe(population: int, sample: int, hits: int, copies: float) -> bool:
        return hits >= 1 and log_tail(population, min(c, population), sample, hits) + copies <= unsafe

    def neighbourhoods() -> Iterator[tuple[int, int, int]]:
        for k in range(2, n - 1, 2):
            t, o = kept(n - 1, k, each), kept(n, k // 2, each)
            if safe(n - 1, k, t, each) and safe(n - 1, k // 2, o, each):
                yield k, t, o

    def committees() -> Iterator[tuple[int, int]]:
        for m in range(1, n + 1):
            q = kept(n, m, 0.0)
            if safe(n, m, 2 * q - m, 0.0):
                yield m, q

    chosen, committee = next(neighbourhoods(), None), next(committees(), None)
    if chosen is None or committee is None:
        return None
    (k, t, o), (m, q) = chosen, committee
    return Plan(n, k, t, m, q, k // 2, o, n - d, c)


def log_tail(population: int, marked: int, sample: int, hits: int) -> float:
    """log P[X >= hits] for the number X of marked ones in a sample drawn without replacement; -inf where impossible.

    Error: relative 1e-9 of the probability for populations below 2**20 (`math.lgamma`).
    """
    most = min(marked, sample)
    least = max(hits, sample - (population - marked), 0)
    if hits <= max(0, sample - (population - marked)):
        return 0.0
    if least > most:
        return -math.inf
    whole = _log_choose(population, sample)
    terms = [
        _log_choose(marked, x) + _log_choose(population - marked, sample - x) - whole for x in range(least, most + 1)
    ]
    peak = max(terms)
    return min(0.0, peak + math.log(math.fsum(math.exp(term - peak) for term in terms)))


def _quantile(population: int, marked: int, sample: int, log_probability: float) -> int:
    """The least x with P[X > x] <= exp(log_probability)."""
    low, high = 0, min(marked, sample)
    while low < high:
        middle = (low + high) // 2
        if log_tail(population, marked, sample, middle + 1) <= log_probability:
            high = middle
        else:
            low = middle + 1
    return low


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


MAX_CLIENTS = 1 << 20
_FEW = 50
