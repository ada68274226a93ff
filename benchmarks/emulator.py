"""A wide area network inside one network namespace: every packet between two of its processes is delayed and paced.

Why not `tc netem`: many kernels come without it, and on loopback it knows one queue for all parties. Here all traffic
to 127.0.0.0/8 is routed into a TUN device instead of `lo`, and this program is what the device is connected to. A
packet read from it waits for

    its turn on the sender's line   (bytes on the wire) * 8 / bits_per_second, first in, first out, per sending process
    the distance                    rtt / 2

and is then written back, which delivers it. So each process of a worker (a party, a dealer) has a line of its own for
what it sends, as a machine with one network card has; receiving is not paced, nothing is lost, and queues have no
bound. The kernel's TCP runs on top with 1500-byte segments, this machine's congestion control and its slow start. Segments cross
the device in bursts of up to 64 KiB (segmentation offload), each counted with all of its headers.
"""

import contextlib
import ctypes
import fcntl
import heapq
import os
import select
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

DEVICE = "wire"
SEGMENT_BYTES = 1500
HIGHEST_PRIORITY = -20
HOPELESS = 20  # packets of one connection after which its owner is no longer looked for


class Route(NamedTuple):
    """One direction of one TCP connection."""

    source_port: int
    destination_port: int


@dataclass
class _Line:
    """What one process sends on; `free_at` is when its last bit has left."""

    free_at: float = 0.0


class Wire:
    """The device and what happens between reading a packet from it and writing it back."""

    def __init__(self, rtt_seconds: float, bits_per_second: float) -> None:
        self._delay = rtt_seconds / 2
        self._seconds_per_byte = 8 / bits_per_second
        self._device = _open_device()
        _route_loopback_through_device()
        self._lines: dict[int, _Line] = {}
        self._routes: dict[Route, _Line] = {}
        self._unowned: dict[Route, int] = {}
        self._waiting: list[tuple[float, int, bytes]] = []
        self._count = 0

    def run(self, child: subprocess.Popen[bytes]) -> None:
        """Carry packets until `child` ends."""
        _set_timer_slack(1)
        with contextlib.suppress(PermissionError):  # the parties may use every core; packets are late then, not lost
            os.setpriority(os.PRIO_PROCESS, 0, HIGHEST_PRIORITY)
        ended = os.pidfd_open(child.pid)
        while True:
            patience = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else None
            ready, _, _ = select.select([self._device, ended], [], [], patience)
            if ended in ready:
                return
            if ready:
                self._accept()
            self._deliver()

    def _accept(self) -> None:
        """Read what the kernel has to send and give each packet its time of arrival."""
        for _ in range(64):
            try:
                packet = os.read(self._device, 1 << 17)
            except BlockingIOError:
                return
            size, route, closing = _parse(packet)
            now = time.monotonic()
            line = self._line_of(route) if route else _Line()
            line.free_at = max(now, line.free_at) + size * self._seconds_per_byte
            self._count += 1
            heapq.heappush(self._waiting, (line.free_at + self._delay, self._count, packet))
            if closing and route:
                self._routes.pop(route, None)

    def _deliver(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            os.write(self._device, heapq.heappop(self._waiting)[2])

    def _line_of(self, route: Route) -> _Line:
        """Return the line of the process that owns the sending socket.

        A socket that is not accepted yet has no owner; its few packets (the handshake) go out on a line of their own.
        """
        if line := self._routes.get(route):
            return line
        tries = self._unowned.get(route, 0)
        owner = _owner(route) if tries < HOPELESS else None
        if owner is None:
            self._unowned[route] = tries + 1
            return _Line() if tries < HOPELESS else self._routes.setdefault(route, _Line())
        self._unowned.pop(route, None)
        return self._routes.setdefault(route, self._lines.setdefault(owner, _Line()))


# -------------------------------------------------------------------------------------------------------- packets


def _parse(packet: bytes) -> tuple[int, Route | None, bool]:
    """Return bytes on the wire, the TCP route, and whether the packet opens or closes a connection.

    A packet is a virtio header (flags, offload type, header length, segment size, ...) and an IPv4 packet, possibly of
    many segments.
    """
    _, _, header_bytes, segment, _, _ = struct.unpack_from("=BBHHHH", packet)
    size = len(packet) - VIRTIO_HEADER_BYTES
    if segment:
        payload = size - header_bytes
        size += (-(-payload // segment) - 1) * header_bytes
    if packet[VIRTIO_HEADER_BYTES] >> 4 != 4 or packet[VIRTIO_HEADER_BYTES + 9] != TCP:
        return size, None, False
    start = VIRTIO_HEADER_BYTES + (packet[VIRTIO_HEADER_BYTES] & 15) * 4
    source, destination = struct.unpack_from("!HH", packet, start)
    return size, Route(source, destination), bool(packet[start + 13] & (SYN | RST))


def _owner(route: Route) -> int | None:
    """Return the process that holds the socket a packet was sent from."""
    inode = _inode(route)
    if inode is None:
        return None
    namespace = Path("/proc/self/ns/net").readlink()
    owners = [pid for pid in _processes() if _in_namespace(pid, namespace) and _holds(pid, f"socket:[{inode}]")]
    return max(owners, default=None)  # an inherited socket is used by the youngest


def _inode(route: Route) -> int | None:
    for path in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        for line in Path(path).read_text().splitlines()[1:]:
            columns = line.split()
            ports = tuple(int(address.rpartition(":")[2], 16) for address in columns[1:3])
            if ports == tuple(route) and columns[9] != "0":
                return int(columns[9])
    return None


def _processes() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _in_namespace(pid: int, namespace: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").readlink() == namespace
    except OSError:
        return False


def _holds(pid: int, socket: str) -> bool:
    try:
        return any(entry.readlink() == Path(socket) for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


# ---------------------------------------------------------------------------------------------------- the device


def _open_device() -> int:
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(device, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4)
    return device


def _route_loopback_through_device() -> None:
    """Send what this namespace sends to 127.0.0.0/8 to the device, and accept it when it comes back from there."""
    settings = {"rp_filter": 0, "accept_local": 1, "route_localnet": 1}
    for interface in ("all", DEVICE):
        for name, value in settings.items():
            Path(f"/proc/sys/net/ipv4/conf/{interface}/{name}").write_text(str(value))
    Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
    for command in (
        f"link set {DEVICE} mtu {SEGMENT_BYTES} txqueuelen 10000 up",
        f"route add 127.0.0.0/8 dev {DEVICE} src 127.0.0.1 table 100",
        f"rule add pref 10 iif {DEVICE} lookup local",
        "rule add pref 20 iif lo to 127.0.0.0/8 lookup 100",
        "rule add pref 30 lookup local",
        "rule del pref 0",
    ):
        subprocess.run(["ip", *command.split()], check=True)


def _set_timer_slack(nanoseconds: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0)


VIRTIO_HEADER_BYTES = 10
TCP = 6
SYN, RST = 0x02, 0x04
PR_SET_TIMERSLACK = 29
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
IFF_TUN, IFF_NO_PI, IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
TUN_F_CSUM, TUN_F_TSO4 = 0x01, 0x02
