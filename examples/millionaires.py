"""The millionaires' problem: who is richer, and nothing else.

Run it: python examples/millionaires.py
"""

from pathlib import Path

import tacit

with tacit.Session.local("alice", "bob", "carol") as session:
    mpc = session.mpc()
    alice = session.plain("alice").put(5_000_000)
    bob = session.plain("bob").put(7_000_000)
    richer = mpc(lambda a, b: a > b)(alice, bob)
    print("alice is richer:", bool(tacit.reveal(richer, to="alice", because="they agreed to know this")))
    session.graph().save(Path("millionaires.svg"))
