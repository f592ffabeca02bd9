"""Retention: a pure plan, and carrying it out exactly."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from tasks.base.errors import NightshiftError
from tasks.base.system import BackupKind, Generations, RetentionPolicy
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.repository.manifest import MANIFEST, BackupRef
from tasks.repository.store import Store

Reasons = dict[str, str]


class Decision(Frozen):
    """What becomes of one backup, and why."""

    backup: BackupRef
    keep: bool
    reason: str


def plan(
    backups: Sequence[BackupRef],
    policy: RetentionPolicy,
    now: datetime,
    *,
    proven: Collection[str],
    held: Collection[str],
    dependencies: Mapping[str, Sequence[str]],
    zone: str,
) -> list[Decision]:
    """One decision per backup, the oldest first.

    Kept are: what a rule of its kind keeps, the newest of each database and kind, the newest proven one of each
    database, all under hold, all of a kind without rules, and whatever a kept one needs. `dependencies` names by
    backup id what each needs; days, weeks, months and years are those of `zone`.
    """
    reasons: Reasons = {}
    for group in _groups(backups).values():
        _keep_by_rules(group, policy.kinds.get(group[-1].kind), now, ZoneInfo(zone), reasons)
    for group in _groups(backups, by_kind=False).values():
        last_proven = [backup for backup in group if backup.backup_id in proven][-1:]
        _mark(reasons, last_proven, "last backup that passed a restore test")
    _mark(reasons, [backup for backup in backups if backup.backup_id in held], "under hold")
    _keep_needed(reasons, dependencies)
    ordered = sorted(backups, key=lambda backup: (backup.backup_id, backup.database))
    return [
        Decision(
            backup=backup,
            keep=backup.backup_id in reasons,
            reason=reasons.get(backup.backup_id, "no rule keeps it"),
        )
        for backup in ordered
    ]


def carry_out(store: Store, decisions: Iterable[Decision]) -> list[CheckResult]:
    """Delete what the decisions do not keep, the manifest first; a locked or undeletable backup is reported as kept."""
    return [_delete(store, decision.backup) for decision in decisions if not decision.keep]


def _groups(backups: Sequence[BackupRef], *, by_kind: bool = True) -> dict[tuple[str, str], list[BackupRef]]:
    """Backups by database and kind, each group with the oldest first."""
    groups: dict[tuple[str, str], list[BackupRef]] = defaultdict(list)
    for backup in sorted(backups, key=lambda backup: backup.backup_id):
        groups[backup.database, str(backup.kind) if by_kind else ""].append(backup)
    return groups


def _keep_by_rules(
    group: list[BackupRef], rules: Generations | None, now: datetime, zone: ZoneInfo, reasons: Reasons
) -> None:
    if rules is None:
        _mark(reasons, group, "its kind has no rules")
        return
    _mark(reasons, group[-1:], "newest")
    _mark(reasons, group[-rules.newest :], f"one of the newest {rules.newest}")
    since = now - timedelta(days=rules.days)
    _mark(reasons, [backup for backup in group if backup.snapshot_at >= since], f"of the last {rules.days} days")
    _mark(reasons, _newest_of_each(group, zone, rules.weekly, "%G-%V"), "newest of its week")
    _mark(reasons, _newest_of_each(group, zone, rules.monthly, "%Y-%m"), "newest of its month")
    _mark(reasons, _newest_of_each(group, zone, rules.yearly, "%Y"), "newest of its year")


def _newest_of_each(group: list[BackupRef], zone: ZoneInfo, count: int, period: str) -> list[BackupRef]:
    """The newest backup of each of the last `count` periods that have one."""
    newest = {backup.snapshot_at.astimezone(zone).strftime(period): backup for backup in group}
    return list(newest.values())[-count:] if count else []


def _keep_needed(reasons: Reasons, dependencies: Mapping[str, Sequence[str]]) -> None:
    """What a kept backup needs is kept, and what that needs, and so on."""
    waiting = list(reasons)
    while waiting:
        backup_id = waiting.pop()
        for needed in dependencies.get(backup_id, ()):
            if needed not in reasons:
                reasons[needed] = f"{backup_id} needs it"
                waiting.append(needed)


def _mark(reasons: Reasons, backups: Iterable[BackupRef], reason: str) -> None:
    for backup in backups:
        reasons.setdefault(backup.backup_id, reason)


def _delete(store: Store, backup: BackupRef) -> CheckResult:
    def result(verdict: Verdict, message: str) -> CheckResult:
        return CheckResult(
            name="delete", target=f"{backup.database} {backup.backup_id}", verdict=verdict, message=message
        )

    try:
        keys = [item.key for item in store.list(f"{backup.prefix}/")]
        locked = next(filter(_is_locked(store), keys), None)
        if locked is not None:
            return result(Verdict.WARN, f"kept: {locked} is under object lock")
        # Without its manifest it is no backup any more; what a kill leaves of it the sweep removes.
        for key in sorted(keys, key=lambda key: not key.endswith(f"/{MANIFEST}")):
            store.delete(key)
    except NightshiftError as error:
        return result(Verdict.INCOMPLETE, f"not wholly deleted: {error}")
    return result(Verdict.OK, "deleted")


def _is_locked(store: Store) -> Callable[[str], bool]:
    return store.is_locked


def needs_manifest(backup: BackupRef) -> bool:
    """True for the kinds that may depend on another backup; all others are planned from their keys alone."""
    return backup.kind in (BackupKind.INCREMENTAL, BackupKind.WAL)
