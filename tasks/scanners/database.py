"""Trivy's vulnerability database: fetched once per run, or a configured folder, and how old it is."""

import json
from datetime import datetime, timedelta
from pathlib import Path

from tasks.base.clock import iso, utc_now
from tasks.base.errors import ConfigurationError, IncompleteError, ToolFailedError
from tasks.base.programs import Program, run
from tasks.base.security import SecurityPolicy, place_of
from tasks.base.words import Frozen
from tasks.scanners.programs import Scanner, without_settings

_NOTHING_MADE = "0001-01-01"


class Database(Frozen):
    """A vulnerability database that scans may use."""

    folder: Path
    made_at: datetime


def prepare_database(trivy: Scanner, policy: SecurityPolicy, folder: Path) -> Database:
    """The database for the scans of one run: the configured one, else fetched into `folder`.

    Raises ConfigurationError (none there), ToolFailedError (no mirror gave it), IncompleteError (too old): in all
    cases nothing can be said about vulnerabilities.
    """
    place = place_of(policy.database.folder) if policy.database.folder else folder
    if policy.database.folder is None:
        if policy.offline:
            raise ConfigurationError(
                "security.offline is set and security.database.folder names no database; "
                "give it the cache folder of a machine that ran 'trivy image --download-db-only'"
            )
        _fetch(trivy, policy, place)
    return _checked(place, policy)


def _fetch(trivy: Scanner, policy: SecurityPolicy, folder: Path) -> None:
    """From the first mirror that gives it. Trivy itself, given several, gives up at one that does not answer."""
    mirrors, refused = policy.database.mirrors or ("",), []
    for mirror in mirrors:
        try:
            run(_download(trivy, folder, mirror, policy.timeout_seconds / len(mirrors)))
        except ToolFailedError as error:
            refused.append(f"{mirror or 'its own repositories'} ({error})")
        else:
            return
    raise ToolFailedError(
        f"no vulnerability database came from {'; '.join(refused)}; name a mirror in security.database.mirrors, or a "
        "folder in security.database.folder",
        retryable=True,
    )


def _download(trivy: Scanner, folder: Path, mirror: str, deadline_seconds: float) -> Program:
    arguments = (trivy.path, "image", "--download-db-only", "--quiet", "--no-progress", "--cache-dir", str(folder))
    chosen = ("--db-repository", mirror) if mirror else ()
    return Program(
        arguments=(*arguments, *chosen), environment=without_settings(), deadline_seconds=deadline_seconds, cwd=folder
    )


def _checked(folder: Path, policy: SecurityPolicy) -> Database:
    metadata = folder / "db" / "metadata.json"
    try:
        facts = json.loads(metadata.read_text())
        made_at = datetime.fromisoformat(facts["UpdatedAt"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigurationError(
            f"{folder} holds no vulnerability database (db/metadata.json cannot be read); fill it by "
            f"'trivy image --download-db-only --cache-dir {folder}'"
        ) from None
    if not (folder / "db" / "trivy.db").is_file() or made_at.isoformat().startswith(_NOTHING_MADE):
        raise ConfigurationError(f"{folder}/db/trivy.db is missing; fetch the database anew")
    age = utc_now() - made_at
    if age > timedelta(hours=policy.database.max_age_hours):
        raise IncompleteError(
            f"the vulnerability database in {folder} was made at {iso(made_at)}, {age / timedelta(hours=1):.0f} h ago, "
            f"the limit is {policy.database.max_age_hours:g} h; fetch it anew"
        )
    return Database(folder=folder, made_at=made_at)
