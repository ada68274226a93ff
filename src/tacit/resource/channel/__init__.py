"""Channels: ordered, authenticated, counted message streams between two parties."""

from tacit.resource.channel.connect import Addresses, connect_all, danger_plain_tcp
from tacit.resource.channel.memory import MemoryChannel
from tacit.resource.channel.shaped import LAN, LOOPBACK, PROFILES, WAN, LinkProfile, ShapedChannel
from tacit.resource.channel.stream import LinkSettings, StreamChannel

__all__ = [
    "LAN",
    "LOOPBACK",
    "PROFILES",
    "WAN",
    "Addresses",
    "LinkProfile",
    "LinkSettings",
    "MemoryChannel",
    "ShapedChannel",
    "StreamChannel",
    "connect_all",
    "danger_plain_tcp",
]
