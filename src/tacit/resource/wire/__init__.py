"""What travels between two parties: versioned, bounded, checked frames."""

from tacit.resource.wire.frame import FrameLimits, Kind

__all__ = ["FrameLimits", "Kind"]
