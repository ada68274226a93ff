"""Connected parties for tests: threads of this process over real sockets."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from tacit.resource.channel import connect_all, danger_plain_tcp
from tacit.resource.identity import Identity, TrustStore

SESSION = b"\x01\x02\x03\x04\x05\x06\x07\x08"
NAMES = ("alice", "bob", "carol")
IDENTITIES = {name: Identity.create(name) for name in (*NAMES, "dave")}
OPENED: list[Any] = []
"""What a fixture closes after each test: sockets, transports."""
TRUST = TrustStore.of(IDENTITIES.values())


def listeners(names=NAMES):
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    OPENED.extend(sockets.values())
    return sockets, {name: sock.getsockname()[:2] for name, sock in sockets.items()}


def together(work: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Run one function per party in threads; return what each returned or raised."""
    results: dict[str, Any] = {}

    def run(name: str) -> None:
        try:
            results[name] = work[name]()
        except Exception as error:  # noqa: BLE001  what a party raises is what the test looks at
            results[name] = error

    threads = [threading.Thread(target=run, args=(name,)) for name in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(results) == set(work), f"still running: {set(work) - set(results)}"
    return results


def join(name, addresses, *, kind="tls", identities=IDENTITIES, trust=TRUST, **options):
    options = {"session": SESSION, "timeout": 20, **options}
    if kind == "plain":
        channels = danger_plain_tcp(name, addresses, **options)
    else:
        channels = connect_all(name, addresses, identities[name], trust, **options)
    OPENED.extend(channel._transport for channel in channels.values())
    return channels


def connected(names=NAMES[:2], kind="tls", **options):
    """Connect `names` and return {me: {peer: channel}}."""
    sockets, addresses = listeners(names)
    ends = together(
        {name: lambda n=name: join(n, addresses, kind=kind, listener=sockets[n], **options) for name in names}
    )
    for end in ends.values():
        if isinstance(end, Exception):
            raise end
    return ends


def pair(kind="tls", **options):
    ends = connected(kind=kind, **options)
    return ends["alice"]["bob"], ends["bob"]["alice"]


def receive(channel, operation, size, seconds=20):
    into = memoryview(bytearray(size))
    while not channel.take(operation, into):
        channel.wait(seconds)
    return into


def send(channel, operation, payload):
    channel.post(operation, payload)
    channel.flush()


def be_ready_then_sleep(name, addresses, kind, identity, certificates):
    """Be a party in a process of its own, until it is killed."""
    (channel,) = join(name, addresses, kind=kind, identities={name: identity}, trust=TrustStore(certificates)).values()
    send(channel, 1, b"ready")
    signal.pause()
