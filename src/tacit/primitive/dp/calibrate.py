"""The least noise that keeps a promise."""

from __future__ import annotations

from collections.abc import Callable

from tacit.foundation.errors import DomainError
from tacit.primitive.dp.account import accountant, require_delta
from tacit.primitive.dp.event import Event
from tacit.primitive.dp.require import positive

LEAST, MOST = 2.0**-20, 2.0**60


def calibrate(
    make: Callable[[float], Event], *, epsilon: float, delta: float, by: str = "pld", precision: float = 1e-3
) -> float:
    """The least noise x, to a relative `precision` and never below it, such that make(x) is (epsilon, delta)-private.

    `make` builds the event of a whole plan from its noise (a noise multiplier, a scale, a deviation); more noise must cost
    less privacy. `by` names the accountant. Raises: DomainError where no noise up to 2**60 is enough.
    """
    epsilon, delta = positive("epsilon", epsilon), require_delta(delta)

    def enough(noise: float) -> bool:
        return accountant(by).compose(make(noise)).epsilon(delta) <= epsilon

    high = 1.0
    while not enough(high):
        high *= 2.0
        if high > MOST:
            raise DomainError(
                f"no noise makes this private at epsilon {epsilon:g} and delta {delta:g}; is delta too small?"
            )
    low = high / 2.0
    while low > LEAST and enough(low):
        low, high = low / 2.0, low
    while high > low * (1 + precision):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
