"""Oblivious transfer: one party learns one of two messages of another, who does not learn which.

    session    open_session(driver, peer): what both agree on first
    base       a few transfers by public keys                      Masny and Rindal, endemic
    softspoken any number from 128, at 128 / bits - 1 bits each    Roy, SoftSpokenOT; IKNP with bits=1
    silent     millions from a few thousand, below a bit each      Yang et al., Ferret, with half-trees
    derive     chosen choices, messages, products and bits from correlations
    ideal      the functionalities themselves, for tests

Correlations are `Sent` and `Received` (`tacit.primitive.ot.block`). Everything is a coroutine over the driver, secure
against malicious parties unless asked for less. See docs/protocols/oblivious-transfer.md.
"""

from tacit.primitive.ot.block import Received as Received
from tacit.primitive.ot.block import Sent as Sent
from tacit.primitive.ot.noise import LARGE as LARGE
from tacit.primitive.ot.noise import MEDIUM as MEDIUM
from tacit.primitive.ot.noise import SMALL as SMALL
from tacit.primitive.ot.noise import Noise as Noise
from tacit.primitive.ot.session import Session as Session
from tacit.primitive.ot.session import open_session as open_session
