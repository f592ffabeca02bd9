"""Retention keeps its promises over random histories, holds, dependencies and proofs."""

from datetime import UTC, datetime, timedelta
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from tasks.base.backup import BackupKind, Generations, RetentionPolicy
from tasks.base.clock import stamp
from tasks.base.errors import MissingError
from tasks.repository.local import LocalStore
from tasks.repository.manifest import BackupRef
from tasks.repository.records import Hold, Proven, put_hold
from tasks.repository.retention import carry_out, plan

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
KINDS = (BackupKind.LOGICAL, BackupKind.BASE)


def ref(database, kind, age, suffix):
    backup_id = f"{stamp(NOW - age)}-{suffix:08x}"
    return BackupRef(system="s", database=database, kind=kind, backup_id=backup_id, stored_bytes=1)


@st.composite
def histories(draw):
    # One run backs up several databases, perhaps in the same second: 'ab' is one id in both.
    runs = st.tuples(st.integers(0, 800 * 24), st.sampled_from(["a", "b", "ab"]), st.sampled_from(KINDS))
    backups = [
        ref(name, kind, timedelta(hours=age), number)
        for number, (age, names, kind) in enumerate(draw(st.lists(runs, max_size=30)))
        for name in names
    ]

    def some(of):
        ids = [backup.backup_id for backup in backups if backup.database == of]
        return ids, st.sets(st.sampled_from(ids)) if ids else st.just(set())

    def by_database(strategy):
        return {name: draw(strategy(*some(name))) for name in ("a", "b")}

    def needs(ids, chosen):
        return st.dictionaries(st.sampled_from(ids), st.lists(st.sampled_from(ids), max_size=2)) if ids else st.just({})

    rules = Generations(
        newest=draw(st.integers(1, 3)), days=draw(st.integers(0, 40)), weekly=draw(st.integers(0, 5)),
        monthly=draw(st.integers(0, 5)), yearly=draw(st.integers(0, 2)),
    )  # fmt: skip
    said = st.sampled_from(get_args(Proven))
    tested = by_database(lambda ids, _: st.dictionaries(st.sampled_from(ids), said) if ids else st.just({}))
    chosen = tested, by_database(lambda _, chosen: chosen), by_database(needs)
    return backups, RetentionPolicy(kinds={BackupKind.LOGICAL: rules}), *chosen


def best_proven(of_database, tested):
    """The id of the newest proven backup, of the newest partially proven one where none is proven."""
    for state in ("proven", "partially proven"):
        if ids := [one.backup_id for one in of_database if tested.get(one.backup_id) == state]:
            return {ids[-1]}
    return set()


@given(histories())
def test_promises(history):
    backups, policy, tested, held, needs = history
    decisions = plan(backups, policy, NOW, tested=tested, held=held, dependencies=needs, zone="UTC")
    assert sorted(decision.backup.prefix for decision in decisions) == sorted(backup.prefix for backup in backups)
    rules = policy.kinds[BackupKind.LOGICAL]
    for name in ("a", "b"):
        of_database = sorted((one for one in backups if one.database == name), key=lambda one: one.backup_id)
        kept = {one.backup.backup_id for one in decisions if one.keep and one.backup.database == name}
        assert held[name] <= kept
        assert best_proven(of_database, tested[name]) <= kept
        assert {one.backup_id for one in of_database if one.kind is BackupKind.BASE} <= kept
        logical = [one for one in of_database if one.kind is BackupKind.LOGICAL]
        assert {one.backup_id for one in logical[-rules.newest :]} <= kept
        assert {one.backup_id for one in logical if NOW - one.snapshot_at <= timedelta(days=rules.days)} <= kept
        assert all(needed in kept for one in kept for needed in needs[name].get(one, ()))


@given(histories())
def test_what_is_said_of_one_database_keeps_nothing_of_another(history):
    backups, policy, tested, held, needs = history
    whole = plan(backups, policy, NOW, tested=tested, held=held, dependencies=needs, zone="UTC")
    for name in ("a", "b"):
        alone = [backup for backup in backups if backup.database == name]
        said = {"tested": {name: tested[name]}, "held": {name: held[name]}, "dependencies": {name: needs[name]}}
        assert [one for one in whole if one.backup.database == name] == plan(alone, policy, NOW, zone="UTC", **said)


def test_what_a_kept_backup_needs_is_kept_with_all_that_that_needs():
    chain = [ref("a", BackupKind.LOGICAL, timedelta(days=age), age) for age in (90, 80, 70, 60, 0)]
    needs = {"a": {chain[4].backup_id: [chain[3].backup_id], chain[3].backup_id: [chain[1].backup_id]}}
    decisions = plan(chain, RetentionPolicy(), NOW, tested={}, held={}, dependencies=needs, zone="UTC")
    assert [one.keep for one in decisions] == [False, True, False, True, True]
    assert decisions[1].reason == f"{chain[3].backup_id} needs it"


def test_of_a_database_that_is_never_wholly_proven_the_last_partially_proven_backup_is_kept():
    refs = [ref("a", BackupKind.LOGICAL, timedelta(days=age), age) for age in (90, 80, 70, 60, 0)]
    partially = {"a": {one.backup_id: "partially proven" for one in refs[:3]} | {refs[3].backup_id: "not proven"}}
    said = {"held": {}, "dependencies": {}, "zone": "UTC"}
    decisions = plan(refs, RetentionPolicy(), NOW, tested=partially, **said)
    assert [one.keep for one in decisions] == [False, False, True, False, True]
    assert decisions[2].reason == "last partially proven backup, none is wholly proven"
    # One that was proven and is there no more protects nothing.
    partially["a"][f"{stamp(NOW)}-gone"] = "proven"
    assert plan(refs, RetentionPolicy(), NOW, tested=partially, **said) == decisions
    partially["a"][refs[1].backup_id] = "proven"
    decisions = plan(refs, RetentionPolicy(), NOW, tested=partially, **said)
    assert [one.keep for one in decisions] == [False, True, False, False, True]


class FakeStore:
    """Keys in a set; those in `locked` are under object lock."""

    url = "fake"

    def __init__(self, keys, locked=()):
        self.keys, self.locked, self.deleted = set(keys), set(locked), []

    def list(self, prefix=""):
        from tasks.repository.store import StoredObject

        return iter(
            [
                StoredObject(key=key, size_bytes=1, modified_at=NOW)
                for key in sorted(self.keys)
                if key.startswith(prefix)
            ]
        )

    def stat(self, key):
        raise MissingError(f"{key} is missing")

    def is_locked(self, key):
        return key in self.locked

    def delete(self, key):
        self.keys.remove(key)
        self.deleted.append(key)


def old_and_new():
    refs = [ref("a", BackupKind.LOGICAL, timedelta(days=age), 1) for age in (90, 0)]
    return refs, plan(refs, RetentionPolicy(), NOW, tested={}, held={}, dependencies={}, zone="UTC")


def test_the_manifest_goes_first_and_nothing_else_is_touched():
    (old, new), decisions = old_and_new()
    store = FakeStore([f"{ref.prefix}/{name}" for ref in (old, new) for name in ("archive.dump.zst", "manifest.json")])
    checks = carry_out(store, decisions)
    assert [check.verdict for check in checks] == ["OK"]
    assert store.deleted == [f"{old.prefix}/manifest.json", f"{old.prefix}/archive.dump.zst"]


def test_a_locked_backup_is_kept_whole_and_reported():
    (old, _), decisions = old_and_new()
    store = FakeStore(
        [f"{old.prefix}/archive.dump.zst", f"{old.prefix}/manifest.json"], [f"{old.prefix}/archive.dump.zst"]
    )
    assert carry_out(store, decisions)[0].verdict == "WARN"
    assert store.deleted == []


def test_a_hold_that_is_made_while_others_are_deleted_is_kept(tmp_path, monkeypatch):
    store = LocalStore(str(tmp_path))
    refs = [ref("a", BackupKind.LOGICAL, timedelta(days=age), age) for age in (92, 91, 90, 0)]
    for one in refs:
        for name in ("archive.dump.zst", "manifest.json"):
            store.put(f"{one.prefix}/{name}", b"data")
    delete = store.delete

    def hold_the_third(key):
        """A person holds a backup at the moment when the first object goes."""
        said = {"manifest_sha256": "", "reason": "audit", "who": "me", "at": NOW}
        put_hold(store, "s", "a", Hold(backup_id=refs[2].backup_id, **said))
        delete(key)

    monkeypatch.setattr(store, "delete", hold_the_third)
    decisions = plan(refs, RetentionPolicy(), NOW, tested={}, held={}, dependencies={}, zone="UTC")
    assert [one.keep for one in decisions] == [False, False, False, True]
    assert [check.verdict for check in carry_out(store, decisions)] == ["OK", "OK", "INFO"]
    assert [item.key.rsplit("/", 1)[1] for item in store.list(f"{refs[2].prefix}/")] == [
        "archive.dump.zst",
        "manifest.json",
    ]
