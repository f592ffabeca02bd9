"""What is said of backups after they were made: holds, verifications, receipts. Each names the manifest by hash."""

from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256
from typing import Literal

from pydantic import Field, ValidationError

from tasks.base.clock import stamp
from tasks.base.errors import CorruptError
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.repository.store import Store

Proven = Literal["proven", "partially proven", "not proven"]


class Hold(Frozen):
    """A backup that retention must keep."""

    backup_id: str
    manifest_sha256: str
    reason: str
    who: str
    at: datetime


class VerificationRecord(Frozen):
    """The result of one evening's verification of one backup."""

    system: str
    database: str
    backup_id: str
    manifest_sha256: str
    at: datetime
    run_id: str
    verdict: Verdict
    checks: tuple[CheckResult, ...]


class Receipt(Frozen):
    """The record of a restore test. Each names the one before it by hash."""

    backup_id: str
    manifest_sha256: str
    system: str
    database: str
    run_id: str
    started_at: datetime
    finished_at: datetime
    verdict: Verdict
    proven: Proven
    rungs: tuple[CheckResult, ...]
    rto_seconds: float | None = Field(description="From the start until the copy answered queries and was compared")
    rpo_seconds: float = Field(description="Age of the snapshot when the test began")
    previous_key: str = ""
    previous_sha256: str = ""


def put_hold(store: Store, system: str, database: str, hold: Hold) -> None:
    """Put a backup under hold; a second hold replaces the first."""
    store.put(_hold_key(system, database, hold.backup_id), hold.model_dump_json(indent=2).encode())


def release_hold(store: Store, system: str, database: str, backup_id: str) -> None:
    """Take the hold from a backup; none is no error."""
    store.delete(_hold_key(system, database, backup_id))


def held_backup_ids(store: Store, system: str, database: str) -> list[str]:
    """Ids of the backups under hold, by LIST requests alone."""
    return [_name(item.key).removesuffix(".json") for item in store.list(f"{system}/{database}/holds/")]


def add_verification(store: Store, record: VerificationRecord) -> str:
    """Store a verification; return its key."""
    folder = f"{record.system}/{record.database}/verifications"
    key = f"{folder}/{stamp(record.at)}-{record.run_id}.{record.backup_id}.{record.verdict}.json"
    store.put(key, record.model_dump_json(indent=2).encode(), only_if_absent=True)
    return key


def list_verifications(store: Store, system: str, database: str) -> Iterator[VerificationRecord]:
    """All verifications, the newest first."""
    keys = [item.key for item in store.list(f"{system}/{database}/verifications/")]
    for key in reversed(keys):
        yield VerificationRecord.model_validate_json(store.get(key))


def add_receipt(store: Store, receipt: Receipt) -> str:
    """Store a receipt behind the newest one; return its key."""
    folder = f"{receipt.system}/{receipt.database}/receipts"
    previous = max((item.key for item in store.list(f"{folder}/")), default="")
    chained = receipt.model_copy(
        update={"previous_key": previous, "previous_sha256": _sha256(store, previous) if previous else ""}
    )
    proven = receipt.proven.replace(" ", "-")
    key = f"{folder}/{stamp(receipt.finished_at)}-{receipt.run_id}.{receipt.backup_id}.{proven}.json"
    store.put(key, chained.model_dump_json(indent=2).encode(), only_if_absent=True)
    return key


def list_receipts(store: Store, system: str, database: str) -> list[Receipt]:
    """All receipts of a database, the oldest first. Raises CorruptError for one that cannot be read."""
    return [_load(store, item.key) for item in store.list(f"{system}/{database}/receipts/")]


def proven_backup_ids(store: Store, system: str, database: str) -> list[str]:
    """Ids of the backups that passed a restore test whole, the oldest test first, by LIST requests alone."""
    names = [_name(item.key).split(".") for item in store.list(f"{system}/{database}/receipts/")]
    return [parts[1] for parts in names if len(parts) == 4 and parts[2] == "proven"]


def verify_chain(store: Store, system: str, database: str) -> list[CheckResult]:
    """Walk the receipts from the oldest on: each must name the one before it by key and hash."""
    checks, previous = [], ""
    for item in store.list(f"{system}/{database}/receipts/"):
        wrong = _broken_link(store, item.key, previous)
        checks.append(
            CheckResult(name="receipt", target=item.key, verdict=Verdict.FAIL if wrong else Verdict.OK, message=wrong)
        )
        previous = item.key
    return checks


def _broken_link(store: Store, key: str, previous: str) -> str:
    try:
        receipt = _load(store, key)
    except CorruptError as error:
        return str(error)
    if receipt.previous_key != previous:
        return f"names '{receipt.previous_key}' before it, but '{previous}' is there: one was taken out or put in"
    if previous and receipt.previous_sha256 != _sha256(store, previous):
        return f"{previous} is not the receipt that this one was written after: it was changed"
    return ""


def _load(store: Store, key: str) -> Receipt:
    try:
        return Receipt.model_validate_json(store.get(key))
    except ValidationError:
        raise CorruptError(f"{key} is no receipt; it was changed or cut") from None


def _sha256(store: Store, key: str) -> str:
    return sha256(store.get(key)).hexdigest()


def _hold_key(system: str, database: str, backup_id: str) -> str:
    return f"{system}/{database}/holds/{backup_id}.json"


def _name(key: str) -> str:
    return key.rsplit("/", 1)[1]
