"""The JAX front end: `trace(function, *arguments)` gives a `Program`."""

from tacit.compile.front.jax.trace import Traced, trace

__all__ = ["Traced", "trace"]
