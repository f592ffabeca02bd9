"""Secrets: named by reference, resolved when used, masked wherever text leaves the process.

A reference is `env:NAME`, `file:/path` or `secret:BLOCK` (a Prefect Secret block). The system file holds
references only; `resolve` fetches the value at the moment of use and remembers it for `mask`.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator

REFERENCE = re.compile(r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|secret:[a-z0-9-]+)$")
MASK = "********"
_CREDENTIALS_IN_URL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")
_PASSWORD_IN_DSN = re.compile(r"(?i)\b(password|sslpassword|passwd)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")
_AGE_IDENTITY = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]+", re.IGNORECASE)
_known: set[str] = set()
# Blocks that were read elsewhere for this process: value, or None and why there is none.
_brought: dict[str, tuple[str | None, str]] = {}


def _is_reference(value: str) -> str:
    if not REFERENCE.match(value):
        raise ValueError("write a reference (env:NAME, file:/path or secret:PREFECT-BLOCK), never the value itself")
    return value


Reference = Annotated[str, AfterValidator(_is_reference)]


def remember(value: str) -> str:
    """Return the value after adding it to what `mask` hides. Very short values are not masked: they hide too much."""
    if len(value) >= 4:
        _known.add(value)
    return value


def mask(text: str) -> str:
    """The text without known secrets, credentials in URLs, passwords in connection strings and age identities."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, MASK)
    text = _CREDENTIALS_IN_URL.sub(MASK, text)
    text = _PASSWORD_IN_DSN.sub(lambda found: f"{found[1]}={MASK}", text)
    return _AGE_IDENTITY.sub(MASK, text)


def _without_secret(value: str) -> str:
    if mask(value) != value:
        raise ValueError(
            "a connection string must hold no password; use service=, PGPASSFILE, or the field 'password' "
            "with a reference (env:NAME, file:/path, secret:BLOCK)"
        )
    return value


ConnectionString = Annotated[str, AfterValidator(_without_secret)]


def resolve(reference: str) -> str:
    """Given a reference, return the value it names, without surrounding white space.

    Raises ConfigurationError when the variable, file or block is missing or empty.
    """
    from tasks.base.errors import ConfigurationError  # noqa: PLC0415 - errors mask their messages with this module

    kind, _, name = reference.partition(":")
    try:
        value = {"env": _from_environment, "file": _from_file, "secret": _from_block}[kind](name)
    except (KeyError, OSError, ValueError) as error:
        reason = {KeyError: "it is not set", ValueError: "there is no such block"}.get(type(error), "")
        reason = reason or getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"{reference} cannot be read ({reason}); set it where the run executes, "
            "or correct the reference in the system file"
        ) from None
    if not value.strip():
        raise ConfigurationError(f"{reference} is empty; set it where the run executes")
    return remember(value.strip())


def resolve_value(text: str) -> str:
    """A plain value as it is, a reference resolved: for settings that may be either, such as an endpoint."""
    return resolve(text) if REFERENCE.match(text) else text


def _from_environment(name: str) -> str:
    return os.environ[name]


def _from_file(name: str) -> str:
    return Path(name).read_text(encoding="utf-8")


def bring_along(block: str, value: str | None, reason: str) -> None:
    """From now on `resolve` takes this value of the block, or refuses with this reason, and asks no server."""
    _brought[block] = (remember(value) if value else value, reason)


def brought_along(block: str) -> bool:
    """True when this process has the block from elsewhere: what is written to its own Prefect server would be lost."""
    return block in _brought


def _from_block(name: str) -> str:
    if name not in _brought:
        return block_value(name)
    value, reason = _brought[name]
    if value is None:
        raise OSError(0, reason)
    return value


def block_value(name: str) -> str:
    """A Secret block at the server of this process's Prefect. Raises ValueError (no such), OSError (no answer)."""
    # Only who uses a Prefect Secret pays for Prefect.
    import httpx  # noqa: PLC0415
    from prefect.blocks.system import Secret  # noqa: PLC0415

    try:
        # Prefect types the synchronous call as if it were a coroutine.
        block: Any = Secret.load(name, _sync=True)  # type: ignore[call-arg]
    except (httpx.HTTPError, RuntimeError):
        raise ConnectionError(0, "the Prefect server does not answer") from None
    return str(block.get())
