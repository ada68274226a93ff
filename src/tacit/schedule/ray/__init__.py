"""Parties as actors of a Ray cluster: the same processes, on other machines. Needs the extra `tacit[ray]`.

Ray places, starts, watches and ends processes, and carries each control line. Messages between parties do not pass through
it: they take the TLS links that the parties' own processes open.
"""

from tacit.schedule.ray.launcher import RayLauncher

__all__ = ["RayLauncher"]
