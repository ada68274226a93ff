"""Versions of installed packages."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def package_version(package: str = "tacit") -> str:
    """The installed version; `unknown` where the package runs from its source tree without being installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"
