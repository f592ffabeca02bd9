"""SQL, one statement a file."""

from functools import cache
from pathlib import Path


@cache
def load(name: str) -> bytes:
    """The statement in NAME.sql."""
    return (Path(__file__).parent / f"{name}.sql").read_bytes()
