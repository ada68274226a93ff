"""Before parties run a program they compare what they are about to run."""

from __future__ import annotations

import hmac

import numpy as np

from tacit.foundation.errors import ProtocolMismatch
from tacit.primitive.driver import Driver

DIGEST_BYTES = 32


async def agree(driver: Driver, digest: str) -> None:
    """Compare a program's SHA-256 with every peer's, beside the program's own first round.

    Costs: no round and nothing that counters show: like framing, it says which program the messages belong to.
    Raises: ProtocolMismatch that names the peer and both digests.
    """
    mine = np.frombuffer(bytes.fromhex(digest), np.uint8)
    theirs = [(peer, np.empty(DIGEST_BYTES, np.uint8)) for peer in driver.channels]
    for channel in driver.channels.values():
        channel.post(driver.operation, mine.data)
    for (peer, _), received in zip(theirs, await driver.exchange([], theirs, silent=True), strict=True):
        if not hmac.compare_digest(received.tobytes(), mine.tobytes()):
            raise ProtocolMismatch(
                f"{peer} runs program {received.tobytes().hex()[:16]}..., {driver.me} runs {digest[:16]}...: "
                "all parties of a device must run the same program",
                peer=peer,
            )
