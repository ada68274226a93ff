"""One party's end of `Replicated`: its two keys, the roles of an operation, and how parties talk.

Component c is held by parties c - 1 and c, and what is random in it comes from the key of that pair. Many operations
are cheapest when two parties do the work and the third deals what it alone can know. For a dealer d the other two are
called left = d + 1 and right = d + 2, and the components are called by their holders:

    A: dealer and left        B: right and dealer        M (middle): left and right

So x = M + (A + B): a value that left and right both know, and a mask that the dealer knows. That is the masked form of
ASTRA (eprint 2019/429) and ABY2.0 (eprint 2020/1225), and every replicated sharing is in it without a message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, final

from tacit.primitive.driver import Driver
from tacit.primitive.mpc.kernel import Ring, Shape
from tacit.primitive.mpc.party import Message, Party
from tacit.primitive.mpc.replicated.door import Door
from tacit.primitive.mpc.replicated.share import BitShare, RingShare

LARGE = 4096
"""Elements from which the dealer's work goes round, to load all links alike; below, party 2 deals and mostly runs ahead."""

T = TypeVar("T")


@final
@dataclass(frozen=True, slots=True)
class Seat:
    """Where this party sits in one operation. `peer` is the other one of left and right, itself at the dealer."""

    dealer: bool
    left: bool
    right: bool
    dealer_name: str
    right_name: str
    peer: str

    def held(self, a: T, b: T, middle: T) -> tuple[T, T]:
        """(own, next) out of the components A, B and M."""
        if self.dealer:
            return b, a
        return (a, middle) if self.left else (middle, b)

    def middle(self, x: RingShare | BitShare) -> Ring:
        """Component M, which left and right hold."""
        return x.next if self.left else x.own

    def outer(self, x: RingShare | BitShare) -> Ring:
        """The component shared with the dealer: A at left, B at right."""
        return x.own if self.left else x.next


@dataclass(slots=True)
class Deal:
    """A correlation that the dealer knows and left and right get shares of.

    `first` is left's share, known to left and dealer. `second` is right's share: the dealer computes it, right receives it.
    """

    first: Ring
    second: Ring


@final
class Context(Party):
    """Everything an operation needs to know about where it runs."""

    local: Door

    def __init__(self, driver: Driver, names: Sequence[str], prgs: dict[str, Any], local: Door) -> None:
        super().__init__(driver, names, prgs, local)
        self.before = self.names[self.index - 1]
        self.after = self.names[(self.index + 1) % 3]
        self.own_prg = prgs[self.before]  # for component `index`
        self.next_prg = prgs[self.after]  # for component `index` + 1
        self.seats = tuple([self._seat(dealer) for dealer in range(3)])
        self._turn = 2

    def _seat(self, dealer: int) -> Seat:
        left, right = (dealer + 1) % 3, (dealer + 2) % 3
        me = self.index
        peer = {left: right, right: left, dealer: dealer}[me]
        return Seat(me == dealer, me == left, me == right, self.names[dealer], self.names[right], self.names[peer])

    def seat(self, size: int) -> Seat:
        """Roles for an operation on `size` elements, the same at every party."""
        if size < LARGE:
            return self.seats[2]
        self._turn = (self._turn + 1) % 3
        return self.seats[self._turn]

    # --- randomness ---------------------------------------------------------------------------------------------

    def zero(self, shape: int | Shape) -> Ring:
        """This party's part of a fresh sharing of zero: F(key of own component) - F(key of next component)."""
        return self.local.zero_share(self.own_prg, self.next_prg, self.stream(), shape)

    def zero_bits(self, shape: int | Shape) -> Ring:
        """The same for bits: an XOR of two streams."""
        return self.local.zero_bits(self.own_prg, self.next_prg, self.stream(), shape)

    def fresh(self, seat: Seat, shape: int | Shape) -> tuple[Ring, Ring]:
        """Fresh components A and B: the one at left and right that it holds (twice), both at the dealer."""
        stream = self.stream()
        if seat.dealer:
            return self.next_prg.words(stream, shape), self.own_prg.words(stream, shape)
        words: Ring = (self.own_prg if seat.left else self.next_prg).words(stream, shape)
        return words, words

    def deal(self, seat: Seat, words: int) -> Deal:
        """Room for a dealt correlation: left's share is expanded, right's is yet to be computed or received."""
        stream = self.stream()
        if seat.right:
            empty = self.local.empty(words)
            return Deal(empty, empty)
        first: Ring = (self.own_prg if seat.left else self.next_prg).words(stream, words)
        return Deal(first, self.local.empty(words) if seat.dealer else first)

    def deal_bits(self, seat: Seat, words: int) -> Deal:
        """As `deal`, for bits: the dealer finds left's share in `second` and XORs the values onto it."""
        stream = self.stream()
        if seat.right:
            empty = self.local.empty(words)
            return Deal(empty, empty)
        first: Ring = (self.own_prg if seat.left else self.next_prg).words(stream, words)
        return Deal(first, first)

    # --- talking ------------------------------------------------------------------------------------------------

    async def around(self, share: Ring) -> Ring:
        """Send to the party before, receive from the party after: additive shares become replicated ones."""
        received = self.local.empty(share.size)
        await self.exchange([(self.before, self.local.flat(share))], [(self.after, received)])
        return received.reshape(share.shape)

    async def swap(self, seat: Seat, arrays: Sequence[Any], deals: Sequence[Any] = ()) -> list[Any]:
        """Left and right send each other flat arrays, while the dealer sends right its parts `deals`.

        Returns what the peer sent, in the types of `arrays`; right finds the dealt parts in `deals`. The dealer passes no
        arrays and receives nothing.
        """
        if seat.dealer:
            await self.exchange([(seat.right_name, dealt) for dealt in deals])
            return []
        theirs: list[Any] = [self.local.empty_like(array) for array in arrays]
        receives: list[Message] = [(seat.peer, array) for array in theirs]
        if seat.right:
            receives += [(seat.dealer_name, dealt) for dealt in deals]
        await self.exchange([(seat.peer, array) for array in arrays], receives)
        return theirs
