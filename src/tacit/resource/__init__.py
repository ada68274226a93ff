"""Machines, sockets, certificates and processes."""
