"""Tacit: parties compute together on data that none of them shows."""
