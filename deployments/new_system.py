"""`nightshift init`: a valid system file for a real server, written after asking it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ValidationError

from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError
from tasks.base.secrets import REFERENCE, mask
from tasks.base.system import Database, System
from tasks.base.systems import in_words, read_system, systems_folder
from tasks.postgres.inspect.access import Access, read_access
from tasks.repository.keys import check_keys

_PAGE = """\
# {name}: written by 'nightshift init' on {day}; docs/configuration.md lists every key.
name: {name}
timezone: UTC # of the schedules below; an IANA name such as Europe/Berlin
databases:
  # PostgreSQL {version}, {size}, seen as {role}{superuser}.
  - {{name: {database}, dsn: {dsn}}}
{others}repository:
  url: {repository}
{endpoint}backup:
  # Passwords of roles: {passwords_why}.
  role_passwords: {passwords}
{encryption}retention:
  kinds:
    logical: {{days: 30, weekly: 8, monthly: 12}}
schedules:
  - {{flow: database_backup, slug: nightly, cron: "0 2 * * *"}}
  - {{flow: backup_verification, slug: evening, cron: "0 18 * * *"}}
  - {{flow: restore_test, slug: weekly, cron: "0 5 * * 0", parameters: {{pick: newest}}}}
  - {{flow: restore_test, slug: monthly, cron: "0 6 1 * *", parameters: {{pick: random-older}}}}
  # Only shows what it would delete; set dry_run to false when the plan is what you want.
  - {{flow: backup_retention, slug: weekly, cron: "0 7 * * 0", parameters: {{dry_run: true}}}}
"""
_IN_CLEAR = """\
  # Backups are stored in clear. 'age-keygen -o key.txt' makes a key: its public half here, key.txt to a safe place.
  # recipients: [age1…]
"""
_ENCRYPTED = """\
  recipients: [{recipient}]
# The secret half of the key, needed only where backups are restored; a file for its owner only, or env:NAME.
verification: {{identity: {identity}}}
restore_test: {{identity: {identity}}}
"""
_S3 = """\
  # Keys are looked for where boto3 does (environment, ~/.aws, instance role), or by reference:
  # access_key_id: env:{variable}_S3_KEY_ID
  # secret_access_key: env:{variable}_S3_SECRET
"""


@dataclass(frozen=True)
class NewSystem:
    """What a person says about a system; the rest is asked of the server."""

    name: str
    dsn: str
    repository: str
    endpoint: str | None = None
    recipient: str | None = None
    identity: str | None = None


def write_new_system(new: NewSystem) -> Path:
    """Write NAME.yaml into the systems folder and return its path; a file that is there is never overwritten.

    Raises ConfigurationError (name, password in the dsn, file exists), UnreachableError and RefusedError (server).
    """
    path = systems_folder() / f"{new.name}.yaml"
    if path.exists():
        raise ConfigurationError(f"{path} exists and is never overwritten; edit it, or move it away first")
    if mask(new.dsn) != new.dsn:
        raise ConfigurationError(
            "--dsn must hold no password; put it as HOST:PORT:DATABASE:USER:PASSWORD into ~/.pgpass (mode 0600), or "
            "into a service file, and leave it out of --dsn"
        )
    database = _valid(new)
    if new.recipient and not REFERENCE.match(new.recipient):
        check_keys([new.recipient], None)
    page = _page(new, read_access(database))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(page)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); set NIGHTSHIFT_SYSTEMS") from None
    try:
        read_system(path)
    except ConfigurationError:
        path.unlink()
        raise
    return path


def _valid(new: NewSystem) -> Database:
    """What was said, held against the models before the server is asked. Raises ConfigurationError."""
    said = {
        "name": new.name,
        "databases": [{"name": "database", "dsn": new.dsn}],
        "repository": {"url": new.repository, "endpoint": new.endpoint},
        "backup": {"recipients": [new.recipient] if new.recipient else []},
        "restore_test": {"identity": new.identity},
    }
    try:
        return System.model_validate(said).databases[0]
    except ValidationError as error:
        raise ConfigurationError(f"no file was written: {in_words(error)}") from None


def _page(new: NewSystem, access: Access) -> str:
    others = "".join(
        f"  # Also on this server: {json.dumps(name, ensure_ascii=False)}\n" for name in access.other_databases
    )
    return _PAGE.format(
        name=_scalar(new.name),
        day=f"{utc_now():%Y-%m-%d}",
        version=access.server_version,
        size=_size(access.database_bytes),
        role=access.role,
        superuser=", a superuser" if access.superuser else "",
        database=_scalar(_slug(access.database_name)),
        dsn=_quoted(new.dsn),
        others=others,
        repository=_quoted(new.repository),
        endpoint=_endpoint(new),
        passwords="true" if access.reads_role_passwords else "false",
        passwords_why="this role may read them" if access.reads_role_passwords else "this role may not read pg_authid",
        encryption=_encryption(new),
    )


def _endpoint(new: NewSystem) -> str:
    place = f"  endpoint: {_quoted(new.endpoint)}\n" if new.endpoint else ""
    variable = new.name.upper().replace("-", "_")
    return place + (_S3.format(variable=variable) if new.repository.startswith("s3:") else "")


def _encryption(new: NewSystem) -> str:
    if not new.recipient:
        return _IN_CLEAR
    identity = new.identity or f"file:/etc/nightshift/{new.name}.key"
    return _ENCRYPTED.format(recipient=new.recipient, identity=_quoted(identity))


def _slug(database_name: str) -> str:
    """The database's name as it may stand in repository keys."""
    return re.sub(r"[^a-z0-9]+", "-", database_name.lower()).strip("-")[:63] or "database"


def _scalar(name: str) -> str:
    """A name as YAML: plain, or quoted when it reads as a number or a truth value."""
    return yaml.safe_dump(name).splitlines()[0]


def _quoted(text: str) -> str:
    """A YAML scalar: a JSON string is one."""
    return json.dumps(text, ensure_ascii=False)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.0f} MB"
