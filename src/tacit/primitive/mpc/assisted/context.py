"""One party's end of `Assisted`: roles, masks and dealt correlations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tacit.primitive.driver import Driver
from tacit.primitive.local import NativeLocal
from tacit.primitive.mpc.kernel import Ring, Shape
from tacit.primitive.mpc.party import Message, Party


@dataclass(slots=True)
class Deal:
    """One dealt correlation of `own.size` words.

    Leader: `own` is expanded from its seed. Follower: `own` is filled by the exchange it is handed to.
    Helper: `leader` is the leader's part; the helper writes the follower's part into `own`.
    """

    own: Ring
    leader: Ring


class Context(Party):
    """`names` are leader, follower, helper. Everything an operation needs to know about where it runs."""

    def __init__(self, driver: Driver, names: Sequence[str], prgs: dict[str, Any], local: NativeLocal) -> None:
        super().__init__(driver, names, prgs, local)
        leader, follower, helper = self.names
        self.leader = self.index == 0
        self.follower = self.index == 1
        self.helper = self.index == 2
        self.peer = follower if self.leader else leader
        self.helper_name = helper
        if self.helper:
            self._leader_prg, self._follower_prg = prgs[leader], prgs[follower]
        else:
            self._own_prg = prgs[helper]
            self.common = prgs[self.peer]

    # --- randomness ---------------------------------------------------------------------------------------------

    def mask(self, shape: int | Shape) -> Ring:
        """A fresh additive mask: this compute party's share, or the whole at the helper."""
        stream = self.stream()
        if not self.helper:
            return self._own_prg.words(stream, shape)
        whole: Ring = self._leader_prg.words(stream, shape)
        self._follower_prg.add_into(stream, whole)
        return whole

    def owned_mask(self, owner: int, shape: Shape) -> Ring | None:
        """A mask known to compute party `owner` and the helper; None (a zero share) at the other compute party."""
        stream = self.stream()
        if self.helper:
            return (self._leader_prg, self._follower_prg)[owner].words(stream, shape)
        return self._own_prg.words(stream, shape) if self.index == owner else None

    def blind(self, masks: int, words: int, *, bits: bool = False, onto: bool = False) -> tuple[Ring, Deal]:
        """Words of a fresh mask as `mask` gives them, and room for a dealt correlation: from one stream.

        bits: the parties' masks combine by XOR, not by addition. onto: see `deal_bits`.
        """
        stream = self.stream()
        if self.follower:
            dealt = self.local.empty(words)
            return self._own_prg.words(stream, masks), Deal(dealt, dealt)
        drawn: Ring = (self._leader_prg if self.helper else self._own_prg).words(stream, masks + words)
        mask, first = drawn[:masks], drawn[masks:]
        if not self.helper:
            return mask, Deal(first, first)
        if bits:
            self._follower_prg.xor_into(stream, mask)
        else:
            self._follower_prg.add_into(stream, mask)
        return mask, Deal(first if onto else self.local.empty(words), first)

    def blind_apart(self, masks: int, words: int) -> tuple[list[Ring], Deal]:
        """As `blind`, for a helper that needs the masks of leader and follower one by one."""
        stream = self.stream()
        if self.follower:
            dealt = self.local.empty(words)
            return [self._own_prg.words(stream, masks)], Deal(dealt, dealt)
        drawn: Ring = (self._leader_prg if self.helper else self._own_prg).words(stream, masks + words)
        mask, first = drawn[:masks], drawn[masks:]
        if not self.helper:
            return [mask], Deal(first, first)
        return [mask, self._follower_prg.words(stream, masks)], Deal(self.local.empty(words), first)

    def zero(self, words: int) -> Ring:
        """Words that both compute parties draw, to be added by one and subtracted by the other; nothing to the helper."""
        stream = self.stream()
        return self.local.empty(0) if self.helper else self.common.words(stream, words)

    def deal(self, words: int) -> Deal:
        """Room for one dealt correlation."""
        stream = self.stream()
        if self.helper:
            return Deal(self.local.empty(words), self._leader_prg.words(stream, words))
        own = self._own_prg.words(stream, words) if self.leader else self.local.empty(words)
        return Deal(own, own)

    def deal_bits(self, words: int) -> Deal:
        """Room for a dealt correlation of bits: at the helper `own` holds the leader's part, to be XORed onto."""
        stream = self.stream()
        if self.follower:
            own = self.local.empty(words)
        else:
            own = (self._leader_prg if self.helper else self._own_prg).words(stream, words)
        return Deal(own, own)

    # --- talking ------------------------------------------------------------------------------------------------

    async def give(self, deal: Deal | None, *, silent: bool = False) -> None:
        """The helper's side of every exchange: send the follower its part, follow the schedule."""
        await self.exchange([] if deal is None else [(self.names[1], deal.own)], silent=silent)

    async def swap(self, arrays: Sequence[Ring], deal: Deal | None = None) -> list[Ring]:
        """A compute party's side: send flat arrays, receive the peer's; the follower also its part of the deal.

        With no arrays only the dealt part travels, ahead of the program, and no round is spent.
        """
        receives: list[Message] = [(self.peer, self.local.empty(array.size)) for array in arrays]
        if deal is not None and self.follower:
            receives.append((self.helper_name, deal.own))
        received = await self.exchange([(self.peer, array) for array in arrays], receives, silent=not arrays)
        return received[: len(arrays)]
