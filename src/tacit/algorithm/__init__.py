"""Learning algorithms, written in JAX on a device: they know secrets, never shares or sockets."""
