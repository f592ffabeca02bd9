"""What is said of backups after they were made: holds, verifications, receipts. Each names the manifest by hash."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from hashlib import sha256
from typing import Literal, get_args

from pydantic import Field, ValidationError

from tasks.base.clock import stamp
from tasks.base.errors import CorruptError, MissingError
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.repository.catalog import list_backups, manifest_sha256
from tasks.repository.store import Store

# Of so many of the newest receipts the ends of the chain are looked for: more than tests that run at a time.
_AT_A_TIME = 10
Proven = Literal["proven", "partially proven", "not proven"]
# As a receipt's key says it.
_PROVEN: dict[str, Proven] = {one.replace(" ", "-"): one for one in get_args(Proven)}


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
    """The record of a restore test. Each names by hash what stood at the end of the chain when it was written."""

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
    previous: dict[str, str] = Field(
        default_factory=dict,
        description="Key and SHA-256 of the receipts that no other named: one, or more when tests ran at a time",
    )

    @property
    def key(self) -> str:
        """Where it lies; a listing of keys tells what was tested when, and how it ended."""
        name = f"{stamp(self.finished_at)}-{self.run_id}.{self.backup_id}.{self.proven.replace(' ', '-')}.json"
        return f"{_receipts(self.system, self.database)}{name}"


def put_hold(store: Store, system: str, database: str, hold: Hold) -> None:
    """Put a backup under hold; a second hold replaces the first."""
    store.put(_hold_key(system, database, hold.backup_id), hold.model_dump_json(indent=2).encode())


def release_hold(store: Store, system: str, database: str, backup_id: str) -> None:
    """Take the hold from a backup; none is no error."""
    store.delete(_hold_key(system, database, backup_id))


def is_held(store: Store, system: str, database: str, backup_id: str) -> bool:
    """True when the backup is under hold at this moment."""
    try:
        store.stat(_hold_key(system, database, backup_id))
    except MissingError:
        return False
    return True


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
    """All verifications, the newest first. One that cannot be read says nothing, and is passed over."""
    keys = [item.key for item in store.list(f"{system}/{database}/verifications/")]
    for key in reversed(keys):
        with suppress(ValidationError):
            yield VerificationRecord.model_validate_json(store.get(key))


def add_receipt(store: Store, receipt: Receipt) -> str:
    """Store a receipt at the end of the chain; return its key."""
    keys = [item.key for item in store.list(_receipts(receipt.system, receipt.database))][-_AT_A_TIME:]
    named = {key for one in keys for key in _named(store, one)}
    ends = {key: _sha256(store, key) for key in keys if key not in named}
    chained = receipt.model_copy(update={"previous": ends})
    store.put(chained.key, chained.model_dump_json(indent=2).encode(), only_if_absent=True)
    return chained.key


def list_receipts(store: Store, system: str, database: str) -> list[Receipt]:
    """All receipts of a database, the oldest first. Raises CorruptError for one that cannot be read."""
    return [_load(store, item.key) for item in store.list(_receipts(system, database))]


def tested_backups(store: Store, system: str, database: str) -> dict[str, Proven]:
    """What restore tests say of each tested backup, by id and by LIST requests alone.

    In the order of their last tests. A later test that could not climb every rung takes nothing back of 'proven'.
    """
    last: dict[str, Proven] = {}
    for item in store.list(_receipts(system, database)):
        parts = _name(item.key).split(".")
        said = _PROVEN.get(parts[2]) if len(parts) == 4 else None
        if said and not (said == "partially proven" and last.get(parts[1]) == "proven"):
            last.pop(parts[1], None)
            last[parts[1]] = said
    return last


def proven_backup_ids(store: Store, system: str, database: str) -> list[str]:
    """Ids of the backups that passed a restore test whole and did not fail one later."""
    return [backup_id for backup_id, said in tested_backups(store, system, database).items() if said == "proven"]


def verify_chain(store: Store, system: str, database: str) -> list[CheckResult]:
    """Read all receipts, the oldest first: whole, where they belong, unchanged since a later one named them.

    SKIP when there is none. The newest is vouched for only by the report of its own run, until the next test names it.
    """
    keys = [item.key for item in store.list(_receipts(system, database))]
    if not keys:
        return [_answer(f"{system}/{database}", Verdict.SKIP, "there is no receipt; start a restore test")]
    prefixes = {one.backup_id: one.prefix for one in list_backups(store, system, database)}
    wrong: dict[str, str] = {}
    read: list[Receipt] = []
    for key in keys:
        try:
            receipt = _load(store, key)
            _check_place(store, key, receipt, prefixes.get(receipt.backup_id))
            read.append(receipt)
        except CorruptError as error:
            wrong[key] = str(error)
    for receipt in read:
        for key, sha256_then in receipt.previous.items():
            if key not in keys:
                wrong[key] = f"it is gone; {receipt.key} was written after it, so it was taken out"
            elif _sha256(store, key) != sha256_then:
                wrong[key] = f"it was changed after {receipt.key} was written"
    # What is gone or changed may have named those before it, so only what lies behind it can be told forged.
    first = max(wrong, default="")
    forged = [one.key for one in read if one.key > first and _is_passed_over(one, read)]
    wrong |= dict.fromkeys(forged, "later receipts do not name it: it was put in afterwards")
    return [_answer(key, Verdict.FAIL if key in wrong else Verdict.OK, wrong.get(key, "")) for key in keys] + [
        _answer(key, Verdict.FAIL, wrong[key]) for key in sorted(wrong.keys() - set(keys))
    ]


def _check_place(store: Store, key: str, receipt: Receipt, backup_prefix: str | None) -> None:
    """Raise CorruptError when a receipt says otherwise than its key, or of a backup that was not the one tested."""
    if receipt.key != key:
        raise CorruptError(f"it belongs at {receipt.key}: it was moved, or what it says was changed")
    if backup_prefix and receipt.manifest_sha256 != manifest_sha256(store, backup_prefix):
        raise CorruptError(f"it is of another manifest than the one in {backup_prefix}")


def _is_passed_over(receipt: Receipt, all_of_them: list[Receipt]) -> bool:
    """True when no receipt names this one although a test began after it was written."""
    named = any(receipt.key in one.previous for one in all_of_them)
    return not named and any(one.started_at > receipt.finished_at for one in all_of_them)


def _answer(target: str, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name="receipt", target=target, verdict=verdict, message=message)


def _receipts(system: str, database: str) -> str:
    return f"{system}/{database}/receipts/"


def _named(store: Store, key: str) -> list[str]:
    """What a receipt names; nothing when it cannot be read, which is no reason to lose the next one."""
    try:
        return list(_load(store, key).previous)
    except CorruptError:
        return []


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
