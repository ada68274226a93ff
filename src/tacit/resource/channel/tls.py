"""TLS 1.3 with certificates on both sides, as a transport.

OpenSSL works on memory buffers and the socket is ours: one system call fetches many records, a full socket never
leaves a record half encrypted, and the kernel is asked to send large pieces. TLS authenticates each record, so that a
changed, repeated, dropped or swapped record ends the link.

Whom to believe is decided by pinning: OpenSSL accepts a certificate only if it is one of the trust store's and in
date, and `peer_certificate` lets the caller compare it with the one of the party that it expects.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, final

from typing_extensions import Buffer

from tacit.resource.channel.transport import END, kernel_holds_nothing, shut_down
from tacit.resource.identity.identity import Identity
from tacit.resource.identity.trust import TrustStore


def tls_context(identity: Identity, trust: TrustStore, *, accepting: bool) -> ssl.SSLContext:
    """Make the context of one side: TLS 1.3 only, the peer must show a pinned certificate, no session is resumed."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if accepting else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # Parties have names, not hosts; the pinned certificate is compared whole.
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=b"".join(trust.certificates.values()).decode("ascii"))
    if accepting:
        context.num_tickets = 0
    if hasattr(context, "set_ciphersuites"):  # Python 3.15; earlier versions take AES-256-GCM, which OpenSSL prefers.
        context.set_ciphersuites("TLS_AES_128_GCM_SHA256")
    _load_identity(context, identity)
    return context


def _load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    """Hand over the key, which Python can only do by file, through one that exists in memory alone."""
    descriptor = os.memfd_create("identity", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(identity.private_key + identity.certificate)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


@final
class TlsTransport:
    """An encrypted, mutually authenticated byte stream over `sock`, usable after `handshake`.

    Records are limited to 2**24.5 for each key by the TLS standard, which is 350 GB in one direction.
    """

    sealed = True

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, accepting: bool) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=accepting)
        self._raw = memoryview(bytearray(CHUNK_BYTES))
        self._plain: deque[memoryview] = deque()
        self._cipher = memoryview(b"")
        self._refusal: ssl.SSLError | None = None
        self.partial = False

    def handshake(self, deadline: float) -> None:
        """Agree on keys until `deadline` on the monotonic clock.

        Raises: ssl.SSLError when a certificate or the protocol is wrong; TimeoutError; ConnectionError.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._push_until(deadline)
                self._await(select.POLLIN, deadline)
                if not self._fetch():
                    raise ConnectionError("the connection was closed during the TLS handshake") from None
            except ssl.SSLError:
                self._tell_alert()
                raise
            else:
                self._push_until(deadline)
                return

    def peer_certificate(self) -> bytes:
        """Return the peer's certificate (DER), which the handshake verified."""
        certificate = self._tls.getpeercert(binary_form=True)
        if certificate is None:
            raise ssl.SSLError("the peer showed no certificate")
        return certificate

    def fileno(self) -> int:
        """Return the socket's descriptor."""
        return self._sock.fileno()

    @property
    def unsent(self) -> bool:
        """Whether plain or encrypted bytes wait to be sent."""
        return bool(self._plain or len(self._cipher) or self._outgoing.pending)

    @property
    def buffered(self) -> bool:
        """Whether OpenSSL holds bytes that the socket does not."""
        return bool(self._incoming.pending or self._tls.pending())

    def send(self, parts: Sequence[Buffer]) -> None:
        """Encrypt and send as far as the kernel has room; what does not fit is encrypted later."""
        if len(parts) == 1 and not self.unsent:
            part = parts[0]
            size = len(memoryview(part))
            if size <= RECORD_BYTES:
                self._tls.write(part)
                cipher = self._outgoing.read()
                try:
                    sent = self._sock.send(cipher)
                except BlockingIOError:
                    sent = 0
                if sent < len(cipher):
                    self._cipher = memoryview(cipher)[sent:]
                return
        self._plain.extend(map(memoryview, parts))
        self.push()

    def push(self) -> bool:
        """Encrypt in chunks, so that little ciphertext is ever held, and send."""
        while True:
            if not len(self._cipher):
                self._encrypt()
                if not self._outgoing.pending:
                    return True
                self._cipher = memoryview(self._outgoing.read())
            try:
                sent = self._sock.send(self._cipher)
            except BlockingIOError:
                return False
            self._cipher = self._cipher[sent:]

    def recv_into(self, view: memoryview) -> int:
        """Decrypt into `view`, record after record, until it is full or nothing more is here."""
        if self._refusal is not None:
            raise self._refusal
        tls, incoming = self._tls, self._incoming
        read: Callable[[int, memoryview], int] = tls.read  # type: ignore[assignment]  # the stub asks for a bytearray
        got, size = 0, len(view)
        try:
            while got < size:
                if incoming.pending or tls.pending():
                    try:
                        count = read(size - got, view[got:] if got else view)
                    except ssl.SSLWantReadError:  # Half a record was here; is there more of it?
                        self.partial = True
                        continue
                    if not count:
                        return got or END
                    got += count
                    self.partial = False
                elif got:
                    return got
                else:
                    fetched = self._fetch()
                    if not fetched:
                        return 0 if fetched is None else END
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return got or END
        except ssl.SSLError as error:
            self._tell_alert()
            self._refusal = error
            if not got:
                raise
        return got

    def finish(self) -> None:
        """Send FIN; the close frame, which is authenticated, has said goodbye already."""
        shut_down(self._sock)

    def settled(self) -> bool:
        """Ask the kernel how much it still holds."""
        return kernel_holds_nothing(self._sock)

    def close(self) -> None:
        """Close the socket and forget what is unsent."""
        self._plain.clear()
        self._cipher = memoryview(b"")
        self._sock.close()

    def _encrypt(self) -> None:
        plain, write = self._plain, self._tls.write
        while plain and self._outgoing.pending < CHUNK_BYTES:
            count = write(plain[0])
            if count < len(plain[0]):
                plain[0] = plain[0][count:]
            else:
                plain.popleft()

    def _fetch(self) -> int | None:
        """Move what the socket has to OpenSSL: how many bytes, 0 at the end, None when there is nothing yet."""
        try:
            count = self._sock.recv_into(self._raw)
        except BlockingIOError:
            return None
        if count:
            self._incoming.write(self._raw[:count])
        return count

    def _push_until(self, deadline: float) -> None:
        while not self.push():
            self._await(select.POLLOUT, deadline)

    def _await(self, event: int, deadline: float) -> None:
        poll = select.poll()
        poll.register(self._sock, event)
        if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
            raise TimeoutError("the TLS handshake was not finished in time")

    def _tell_alert(self) -> None:
        """Send the alert that OpenSSL has left for the peer, if the kernel takes it."""
        try:
            self._sock.send(self._outgoing.read())
        except OSError:
            return


CHUNK_BYTES: Final = 1 << 18
RECORD_BYTES: Final = 1 << 14
