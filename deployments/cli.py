"""`nightshift`: the command for the terminal at 03:00, when the Prefect server may be what is down."""

import argparse
import errno
import getpass
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from deployments import checks
from deployments.new_system import NewSystem, write_new_system
from deployments.own_prefect import own_prefect
from deployments.prefect_yaml import ROOT
from deployments.secret_blocks import bring_along
from tasks.base.clock import iso, utc_now
from tasks.base.errors import ConfigurationError, MissingError, NightshiftError, StoppedError
from tasks.base.secrets import mask
from tasks.base.system import System
from tasks.base.systems import load_system
from tasks.base.words import CheckResult, Verdict
from tasks.repository import catalog, records
from tasks.repository.manifest import MANIFEST
from tasks.repository.opening import open_store
from tasks.repository.store import Store

# How many next commands the terminal shows; the report has all of them.
_NEXT = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. Exit code 0 when all went well, 1 with one sentence on stderr when not."""
    options = _parser().parse_args(arguments)
    try:
        good = options.command(options)
        sys.stdout.flush()
    except NightshiftError as error:
        sys.exit(f"nightshift: {error}")
    except BrokenPipeError:
        # Who reads has enough, as head has.
        _write_no_more()
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _write_no_more()
        sys.exit("nightshift: the disk that the output goes to is full; what was done is in the reports, free some")
    sys.exit(0 if good else 1)


def _write_no_more() -> None:
    """Python would write the rest once more at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def init(options: argparse.Namespace) -> bool:
    """Ask a database, and write a system file that backs it up, verifies, restores and retains."""
    said = NewSystem(
        options.system, options.dsn, options.repository, options.endpoint, options.recipient, options.identity
    )
    print(f"wrote {write_new_system(said)}")
    if not options.recipient:
        print(
            "WARN: backups will be stored in clear; make a key with 'age-keygen -o key.txt', keep key.txt in a safe "
            "place, and write its public half into backup.recipients"
        )
    print(f"next: nightshift check {options.system}")
    return True


def check(options: argparse.Namespace) -> bool:
    """Validate the system, reach everything that it names, and say what is missing with what mends it."""
    return _print_checks(checks.check_system(load_system(options.system)))


def backups(options: argparse.Namespace) -> bool:
    """List the finished backups, the oldest first."""
    system = load_system(options.system)
    store = open_store(system.repository)
    found = catalog.list_backups(store, system.name)
    if options.json:
        rows = [backup.model_dump(mode="json") | {"snapshot_at": iso(backup.snapshot_at)} for backup in found]
        print(json.dumps(rows, indent=2))
        return True
    names = {backup.database for backup in found}
    proven = {(name, one) for name in names for one in records.proven_backup_ids(store, system.name, name)}
    held = {(name, one) for name in names for one in records.held_backup_ids(store, system.name, name)}
    print(f"{'database':20} {'kind':10} {'backup':26} {'stored bytes':>14}  proven  held")
    for backup in found:
        one = (backup.database, backup.backup_id)
        marks = f"{'yes' if one in proven else 'no':6}  {'yes' if one in held else 'no'}"
        print(f"{backup.database:20} {backup.kind:10} {backup.backup_id:26} {backup.stored_bytes:14}  {marks}")
    return True


def receipts(options: argparse.Namespace) -> bool:
    """List the receipts of restore tests, or walk their chain."""
    system = load_system(options.system)
    store = open_store(system.repository)
    names = _known_databases(system, store)
    if options.verify:
        return _print_checks([one for name in names for one in records.verify_chain(store, system.name, name)])
    print(f"{'database':20} {'backup':26} {'finished':20} {'RTO s':>8} {'RPO s':>10}  verdict")
    for name in names:
        for receipt in records.list_receipts(store, system.name, name):
            rto = "-" if receipt.rto_seconds is None else f"{receipt.rto_seconds:.1f}"
            print(
                f"{receipt.database:20} {receipt.backup_id:26} {iso(receipt.finished_at):20} {rto:>8} "
                f"{receipt.rpo_seconds:10.0f}  {receipt.proven}"
            )
    return True


def hold(options: argparse.Namespace) -> bool:
    """Put a backup under hold, so that retention keeps it."""
    system = load_system(options.system)
    store = open_store(system.repository)
    database = _known_database(system, store, options.database)
    known = {backup.backup_id: backup for backup in catalog.list_backups(store, system.name, database)}
    if options.backup not in known:
        raise ConfigurationError(
            f"'{database}' has no backup '{options.backup}'; see 'nightshift backups {system.name}'"
        )
    prefix = known[options.backup].prefix
    record = records.Hold(
        backup_id=options.backup,
        manifest_sha256=catalog.manifest_sha256(store, prefix),
        reason=options.reason,
        who=getpass.getuser(),
        at=utc_now(),
    )
    records.put_hold(store, system.name, database, record)
    try:
        store.stat(f"{prefix}/{MANIFEST}")
    except MissingError:
        records.release_hold(store, system.name, database, options.backup)
        raise MissingError(f"{options.backup} was deleted meanwhile by a retention that was at work") from None
    print(f"{options.backup} is under hold")
    return True


def release(options: argparse.Namespace) -> bool:
    """Take the hold from a backup."""
    system = load_system(options.system)
    store = open_store(system.repository)
    database = _known_database(system, store, options.database)
    records.release_hold(store, system.name, database, options.backup)
    print(f"{options.backup} is not under hold")
    return True


def _known_databases(system: System, store: Store) -> list[str]:
    """The system's databases, and those that left its file and have backups in its repository."""
    backed_up = {backup.database for backup in catalog.list_backups(store, system.name)}
    return list(dict.fromkeys([*(database.name for database in system.databases), *sorted(backed_up)]))


def _known_database(system: System, store: Store, name: str) -> str:
    known = _known_databases(system, store)
    if name not in known:
        raise ConfigurationError(f"system '{system.name}' knows no database '{name}'; known are: {', '.join(known)}")
    return name


def deploy(options: argparse.Namespace) -> bool:
    """Bring the Prefect server to what the system file says: work pool, rules, deployments, schedules."""
    system = load_system(options.system)
    from deployments.provisioning import deploy  # noqa: PLC0415 - only who deploys pays for Prefect

    return _print_checks(deploy(system, options.directory or ROOT))


def run_flow(options: argparse.Namespace) -> bool:
    """Run a flow in this process, with a Prefect server of its own: none needs to be there."""
    return _run(options.flow, _parameters(options.parameters))


def restore(options: argparse.Namespace) -> bool:
    """Restore a backup as a new database beside what is there; without --apply only look whether it can be done."""
    asked = {name: getattr(options, name) for name in ("system", "database", "into", "backup", "server")}
    return _run("database_restore", {**asked, "create_roles": options.create_roles, "dry_run": not options.apply})


def _run(name: str, parameters: dict[str, object]) -> bool:
    # Prefect takes a cancel while the flow runs, and hands it on to this one. Ctrl-C is a cancel like any other.
    signal.signal(signal.SIGTERM, _stopped)
    signal.signal(signal.SIGINT, lambda *_: signal.raise_signal(signal.SIGTERM))
    # And so is a terminal that goes away, except under nohup.
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    bring_along(parameters.get("system"))
    with own_prefect() as wait_for_server:
        from deployments.flow_runner import check_parameters, run_here  # noqa: PLC0415 - imports Prefect

        flow = check_parameters(name, parameters)
        wait_for_server()
        result = run_here(flow, parameters)
    print(f"{result.verdict}: {mask(result.headline)}")
    print("".join(f"next: {mask(command)}\n" for command in result.next_commands[:_NEXT]), end="")
    return not result.verdict.is_red


def _stopped(*_: object) -> NoReturn:
    raise StoppedError("the run was stopped; what it had begun was ended, start it again when ready")


def _parameters(pairs: Sequence[str]) -> dict[str, object]:
    """key=value pairs; a value that is JSON is taken as such, lists of names split at commas.

    A number stays text: the flow's own types read it, and the id of a run may be digits only, or look like 12e45678.
    """
    parameters: dict[str, object] = {}
    for pair in pairs:
        key, sign, value = pair.partition("=")
        if not sign:
            raise ConfigurationError(f"'{pair}' is no parameter; write key=value, such as system=demo")
        if key in ("databases", "credentials"):
            parameters[key] = value.split(",")
            continue
        try:
            read = json.loads(value)
        except ValueError:
            read = value
        parameters[key] = value if type(read) in (int, float) else read
    return parameters


def _print_checks(found: Sequence[CheckResult]) -> bool:
    for one in found:
        after = f"; next: {one.next_command}" if one.next_command else ""
        print(f"{one.verdict:10} {one.target}: {one.name}{': ' if one.message else ''}{mask(one.message + after)}")
    verdicts = [one.verdict for one in found]
    # What is not known beside other things is no failure; nothing but that is none of success.
    return not Verdict.worst(verdicts).is_red and any(one is not Verdict.SKIP for one in verdicts)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nightshift", description="Backups that are proven by restoring them.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: object, *, system: bool = True) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=str(function.__doc__), description=function.__doc__)
        added.set_defaults(command=function)
        if system:
            added.add_argument("system", help="name of the system, as its file in deployments/systems is called")
        return added

    asked = command("init", init)
    asked.add_argument("--dsn", required=True, help="libpq connection string without a password, or service=NAME")
    asked.add_argument("--repository", required=True, help="file:///absolute/path or s3://bucket/prefix")
    asked.add_argument("--endpoint", help="URL of an S3-compatible store; default: AWS")
    asked.add_argument("--recipient", help="age public key (age1…) that backups are encrypted to")
    asked.add_argument("--identity", help="reference to the secret half: env:NAME or file:/path")
    command("check", check)
    command("backups", backups).add_argument("--json", action="store_true", help="machine-readable")
    command("receipts", receipts).add_argument("--verify", action="store_true", help="walk the chain of hashes")
    for name, function in (("hold", hold), ("release", release)):
        added = command(name, function)
        added.add_argument("database")
        added.add_argument("backup", help="id of the backup, see 'nightshift backups'")
        if name == "hold":
            added.add_argument("--reason", required=True)
    command("deploy", deploy).add_argument(
        "--directory", type=Path, help="where the project lies on the machines that run it; default: as here"
    )
    restored = command("restore", restore)
    restored.add_argument("database", help="whose backup")
    restored.add_argument("--into", required=True, help="name of the new database; one that exists is refused")
    restored.add_argument("--backup", default="", help="its id, see 'nightshift backups'; default: the newest")
    restored.add_argument("--server", default="", help="libpq connection string; default: the database's own server")
    restored.add_argument("--create-roles", action="store_true", help="make the roles that the server lacks")
    restored.add_argument("--apply", action="store_true", help="restore; without it this is a plan")
    ran = command("run", run_flow, system=False)
    ran.add_argument("flow", help="name of a file in flows/")
    ran.add_argument("parameters", nargs="*", metavar="key=value")
    return parser


if __name__ == "__main__":
    main()
