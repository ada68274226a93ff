"""What a party's run cost: rounds, messages, bytes and seconds, by operation and by peer."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Where:
    """The operation a party is at: its number, its name and the user's source line."""

    operation: int
    name: str
    line: str = ""

    def __str__(self) -> str:
        at = f" at {self.line}" if self.line else ""
        return f"operation {self.operation} ({self.name}){at}"


@dataclass(slots=True)
class Entry:
    """The cost of all operations of one name and source line."""

    messages: int = 0
    payload: int = 0
    seconds: float = 0.0
    calls: int = 0


@dataclass
class Profile:
    """Exact counters of one party; `timing` adds seconds per operation at a fraction of a microsecond each."""

    rounds: int = 0
    messages: int = 0
    payload: int = 0
    waited: float = 0.0
    timing: bool = False
    by_peer: dict[str, int] = field(default_factory=dict)
    by_operation: dict[tuple[str, str], Entry] = field(default_factory=dict)

    def sent(self, where: Where, peer: str, size: int) -> None:
        """Count one message of `size` bytes."""
        self.messages += 1
        self.payload += size
        self.by_peer[peer] = self.by_peer.get(peer, 0) + size
        entry = self.entry(where)
        entry.messages += 1
        entry.payload += size

    def spent(self, where: Where, seconds: float) -> None:
        """Count time spent computing on behalf of `where`."""
        entry = self.entry(where)
        entry.seconds += seconds
        entry.calls += 1

    def entry(self, where: Where) -> Entry:
        """The entry of an operation, made on first use."""
        key = (where.name, where.line)
        entry = self.by_operation.get(key)
        if entry is None:
            entry = self.by_operation[key] = Entry()
        return entry
