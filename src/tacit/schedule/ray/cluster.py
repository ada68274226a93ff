"""The door to Ray: imported here and nowhere else, connected once per process, and left as it was found."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import Any

from tacit.foundation.errors import ConfigError, MissingExtra, SessionError
from tacit.schedule.ray.head import Head

EXTRA = "ray"
LOCAL_SLOTS = 32
"""What a cluster that we start ourselves counts as its processors: Ray counts them, and they are what this machine has."""

_lock = threading.Lock()
_users = 0
_connected = False
_head: Head | None = None
_before: dict[str, str | None] = {}  # what the environment said of tokens, while we say something else


def load() -> Any:
    """The module `ray`. Raises MissingExtra."""
    try:
        import ray
        import ray.exceptions
        import ray.util.placement_group
        import ray.util.scheduling_strategies
    except ImportError:
        raise MissingExtra("ray", EXTRA) from None
    return ray


def join(address: str | None) -> Any:
    """Connect this process to a cluster, unless it is; `leave` when done. Returns the module `ray`.

    A new cluster on this machine has no dashboard, and sends no usage statistics. It ends when the last session leaves.
    Raises: MissingExtra; ConfigError for another address than the one this process is connected to; SessionError when
    nothing can be reached there.
    """
    global _users, _connected  # noqa: PLW0603  Ray itself is one per process
    ray = load()
    with _lock:
        if ray.is_initialized():
            found = str(ray.get_runtime_context().gcs_address)
            if address not in (None, "auto", found):
                raise ConfigError(f"this process is connected to Ray at {found}, and cannot be to {address!r} at once")
        else:
            _connect(ray, address)
            _connected = True
        _users += 1
    return ray


def leave() -> None:
    """Disconnect if `join` connected and nobody else uses it; end what it started."""
    global _users, _connected, _head  # noqa: PLW0603
    with _lock:
        _users -= 1
        if _users or not _connected:
            return
        _connected, head, _head = False, _head, None
        try:
            load().shutdown()
        finally:
            if head is not None:
                _show(load(), None)
                head.close()


def _connect(ray: Any, address: str | None) -> None:
    global _head  # noqa: PLW0603
    head = None if address else Head(max(LOCAL_SLOTS, os.cpu_count() or 1))
    if head is not None:
        _show(ray, head.token)
    try:
        ray.init(address=head.address if head else address, log_to_driver=False, configure_logging=False)
    except BaseException as error:
        if head is not None:
            _show(ray, None)
            head.close()
        if not isinstance(error, (ConnectionError, RuntimeError, ValueError, OSError)):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SessionError(
            f"no Ray at {address or 'this machine'}: {reason}. Start one with `ray start --head`, or leave out the address "
            "for one on this machine"
        ) from None
    _head = head


def _show(ray: Any, token: str | None) -> None:
    """Have Ray's client in this process show a token, or again what the environment said."""
    if token is not None:
        _before.update({name: os.environ.get(name) for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")})
        os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=token)
    else:
        for name, value in _before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
    with suppress(AttributeError):  # Ray before 2.52 knows no tokens; since then it keeps what it read
        ray._raylet.Config.initialize("")  # noqa: SLF001
        ray._raylet.AuthenticationTokenLoader.instance().reset_cache()  # noqa: SLF001
