"""Retention: a pure plan, and carrying it out exactly."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from tasks.base.backup import BackupKind, Generations, RetentionPolicy
from tasks.base.errors import NightshiftError, RefusedError
from tasks.base.words import CheckResult, Frozen, Verdict
from tasks.repository.manifest import MANIFEST, BackupRef
from tasks.repository.records import Proven, is_held
from tasks.repository.store import Store

Reasons = dict[str, str]
Said = TypeVar("Said")
ByDatabase = Mapping[str, Said]


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
    tested: ByDatabase[Mapping[str, Proven]],
    held: ByDatabase[Collection[str]],
    dependencies: ByDatabase[Mapping[str, Sequence[str]]],
    zone: str,
) -> list[Decision]:
    """One decision per backup, the oldest first.

    Kept are: what a rule of its kind keeps, the newest of each database and kind, the newest proven one of each
    database (of one that has none, the newest partially proven), all under hold, all of a kind without rules, and
    whatever a kept one needs. Ids are said by database: those of one run may be the same in several. `tested` has for
    the id of a backup what its restore tests say, `dependencies` those that it needs; days, weeks, months and years
    are those of `zone`.
    """
    decisions = []
    for name, of_database in _groups(backups, lambda backup: backup.database).items():
        reasons: Reasons = {}
        for group in _groups(of_database, lambda backup: backup.kind).values():
            _keep_by_rules(group, policy.kinds.get(group[-1].kind), now, ZoneInfo(zone), reasons)
        _keep_best_proven(of_database, tested.get(name, {}), reasons)
        under_hold = held.get(name, ())
        _mark(reasons, [backup for backup in of_database if backup.backup_id in under_hold], "under hold")
        _keep_needed(reasons, dependencies.get(name, {}))
        decisions += [_decision(backup, reasons) for backup in of_database]
    return sorted(decisions, key=lambda decision: (decision.backup.backup_id, decision.backup.database))


def carry_out(store: Store, decisions: Iterable[Decision]) -> list[CheckResult]:
    """Delete what the decisions do not keep, the manifest first; a locked or undeletable backup is reported as kept.

    One that is refused does not stop the others; a store that answers no more does.
    """
    doomed = [decision.backup for decision in decisions if not decision.keep]
    results = []
    for number, backup in enumerate(doomed, 1):
        try:
            results.append(_delete(store, backup))
        except NightshiftError as error:
            message = f"not wholly deleted: {error}; {len(doomed) - number} more were not tried, run it again"
            results.append(_result(backup, Verdict.INCOMPLETE, message))
            break
    return results


def _decision(backup: BackupRef, reasons: Reasons) -> Decision:
    reason = reasons.get(backup.backup_id)
    return Decision(backup=backup, keep=reason is not None, reason=reason or "no rule keeps it")


def _groups(backups: Sequence[BackupRef], name: Callable[[BackupRef], str]) -> dict[str, list[BackupRef]]:
    """Backups by that name, each group with the oldest first."""
    groups: dict[str, list[BackupRef]] = defaultdict(list)
    for backup in sorted(backups, key=lambda backup: backup.backup_id):
        groups[name(backup)].append(backup)
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


def _keep_best_proven(backups: list[BackupRef], tested: Mapping[str, Proven], reasons: Reasons) -> None:
    """Where a rung of the ladder can never be climbed (no amcheck, say), partially proven is the best there is."""
    best: tuple[tuple[Proven, str], ...] = (
        ("proven", "last backup that passed a restore test"),
        ("partially proven", "last partially proven backup, none is wholly proven"),
    )
    for state, reason in best:
        if last := [backup for backup in backups if tested.get(backup.backup_id) == state][-1:]:
            _mark(reasons, last, reason)
            return


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
    manifest = f"{backup.prefix}/{MANIFEST}"
    data = [item.key for item in store.list(f"{backup.prefix}/") if item.key != manifest]
    try:
        locked = next((key for key in (manifest, *data) if store.is_locked(key)), None)
        if locked is not None:
            return _result(backup, Verdict.WARN, f"kept: {locked} is under object lock")
        if is_held(store, backup.system, backup.database, backup.backup_id):
            return _result(backup, Verdict.INFO, "kept: it was put under hold after the plan was made")
        # Without its manifest it is no backup any more; what a kill leaves of it the sweep removes.
        store.delete(manifest)
    except RefusedError as error:
        return _result(backup, Verdict.WARN, f"kept: {error}")
    refused = []
    for key in data:
        try:
            store.delete(key)
        except RefusedError as error:
            refused.append(str(error))
    if refused:
        message = f"no backup any more, but {len(refused)} of its objects are kept: {refused[0]}"
        return _result(backup, Verdict.WARN, f"{message}; the sweep of the next backup tries again")
    return _result(backup, Verdict.OK, "deleted")


def _result(backup: BackupRef, verdict: Verdict, message: str) -> CheckResult:
    return CheckResult(name="delete", target=f"{backup.database} {backup.backup_id}", verdict=verdict, message=message)


def needs_manifest(backup: BackupRef) -> bool:
    """True for the kinds that may depend on another backup; all others are planned from their keys alone."""
    return backup.kind in (BackupKind.INCREMENTAL, BackupKind.WAL)
