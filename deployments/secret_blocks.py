"""Prefect Secret blocks for `nightshift run`: read at the caller's server before the run gets one of its own.

They are read in a process of its own: Prefect takes its settings when it is first imported, and this one's are to be
those of the run's own server. Values come back through a pipe and stay in memory.
"""

import json
import os
import sys
from collections.abc import Iterator

from tasks.base import secrets
from tasks.base.errors import ConfigurationError, NightshiftError
from tasks.base.programs import Program, output_of
from tasks.base.systems import load_system

_DEADLINE_SECONDS = 60
_REMEDY = "start it and set PREFECT_API_URL, or write env:NAME or file:/path"


def bring_along(system: object) -> None:
    """Read the blocks that the system's file names, so that `resolve` has them here.

    What cannot be read is said when, and only when, it is needed: a backup does not wait for a webhook's URL.
    """
    try:
        names = sorted(set(_blocks(load_system(str(system)).model_dump(mode="json"))))
    except ConfigurationError:
        return  # the run says what is wrong with the file
    if not names:
        return
    child = Program(
        arguments=(sys.executable, "-m", "deployments.secret_blocks", *names),
        environment={"PREFECT_LOGGING_LEVEL": "CRITICAL"},
        deadline_seconds=_DEADLINE_SECONDS,
    )
    try:
        found: dict[str, dict[str, str]] = json.loads(output_of(child).splitlines()[-1])
    except (NightshiftError, ValueError, IndexError):
        found = {name: {"reason": f"the Prefect server was asked for it in vain; {_REMEDY}"} for name in names}
    for name, answer in found.items():
        secrets.bring_along(name, answer.get("value"), answer.get("reason", ""))


def _blocks(value: object) -> Iterator[str]:
    """The names of all blocks that a configuration refers to."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _blocks(one)
    elif isinstance(value, str) and value.startswith("secret:") and secrets.REFERENCE.match(value):
        yield value.removeprefix("secret:")


def _read(name: str) -> dict[str, str]:
    """The block's value at the server that this process's settings name, or the reason why there is none."""
    from prefect.settings import get_current_settings  # noqa: PLC0415 - only who has blocks pays for Prefect

    url = get_current_settings().api.url
    if not url:
        return {"reason": f"no Prefect server is named here that could hold the block; {_REMEDY}"}
    try:
        return {"value": secrets.block_value(name)}
    except ValueError:
        return {"reason": f"the Prefect server at {secrets.mask(url)} has no such block"}
    except OSError:
        return {"reason": f"the Prefect server at {secrets.mask(url)} does not answer; {_REMEDY}"}


if __name__ == "__main__":
    sys.stdout, told = sys.stderr, sys.stdout
    print(json.dumps({name: _read(name) for name in sys.argv[1:]}), file=told, flush=True)
    os._exit(0)  # nothing of Prefect is left to tidy up
