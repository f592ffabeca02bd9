"""Maintenance without Prefect, on a server apart from that of the other tests."""

from tests.real.upkeep import dsn, host_clock, policy, prefect_url, server, session

__all__ = ["dsn", "host_clock", "policy", "prefect_url", "server", "session"]
