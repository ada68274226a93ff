"""Front ends: each turns a framework's function into a `Program`."""
