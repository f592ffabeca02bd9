"""RESTORE.txt: how to restore one backup by hand, in sentences and exact commands, beside its objects."""

import shlex
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tasks.base.clock import iso
from tasks.repository.manifest import Manifest

INSTRUCTIONS = "RESTORE.txt"
_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=False,  # noqa: S701 - plain text for a shell, not HTML; what a shell reads is quoted below
    trim_blocks=True,
    undefined=StrictUndefined,
)
# Compiled here: it takes as long as a small database's dump.
_PAGE = _PAGES.get_template("RESTORE.txt.j2")


def restore_by_hand(backup: Manifest) -> str:
    """The text for a backup whose data objects are all stored."""
    names = {file.role: file.key.rsplit("/", 1)[-1] for file in backup.files}
    return _PAGE.render(
        backup=backup,
        encrypted=bool(backup.recipients),
        taken_at=iso(backup.snapshot_at),
        locale=backup.locale or backup.collate,
        files=[{**file.model_dump(), "name": names[file.role]} for file in backup.files],
        name=names,
        archive_bytes=backup.file("archive").raw_bytes,
        shell_name=shlex.quote(backup.database_name),
        create_database=shlex.quote(_create_database(backup)),
    )


def _create_database(backup: Manifest) -> str:
    """The statement for an empty database named 'restored' with the encoding and locale of the source."""
    provider = {
        "i": f"LOCALE_PROVIDER icu ICU_LOCALE {_literal(backup.locale)} ",
        "b": f"LOCALE_PROVIDER builtin BUILTIN_LOCALE {_literal(backup.locale)} ",
    }.get(backup.locale_provider, "")
    return (
        f"CREATE DATABASE restored TEMPLATE template0 ENCODING {_literal(backup.encoding)} {provider}"
        f"LC_COLLATE {_literal(backup.collate)} LC_CTYPE {_literal(backup.ctype)}"
    )


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
