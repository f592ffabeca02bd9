"""Retention keeps its promises over random histories, holds, dependencies and proofs."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tasks.base.clock import stamp
from tasks.base.system import BackupKind, Generations, RetentionPolicy
from tasks.repository.manifest import BackupRef
from tasks.repository.retention import carry_out, plan

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
KINDS = (BackupKind.LOGICAL, BackupKind.BASE)


@st.composite
def histories(draw):
    ages = draw(
        st.lists(st.tuples(st.integers(0, 800 * 24), st.sampled_from(["a", "b"]), st.sampled_from(KINDS)), max_size=40)
    )
    backups = [
        BackupRef(
            system="s",
            database=name,
            kind=kind,
            backup_id=f"{stamp(NOW - timedelta(hours=age))}-{number:08x}",
            stored_bytes=1,
        )
        for number, (age, name, kind) in enumerate(ages)
    ]
    ids = [backup.backup_id for backup in backups]
    some = st.sets(st.sampled_from(ids)) if ids else st.just(set())
    needs = draw(st.dictionaries(st.sampled_from(ids), st.lists(st.sampled_from(ids), max_size=2))) if ids else {}
    rules = Generations(
        newest=draw(st.integers(1, 3)), days=draw(st.integers(0, 40)), weekly=draw(st.integers(0, 5)),
        monthly=draw(st.integers(0, 5)), yearly=draw(st.integers(0, 2)),
    )  # fmt: skip
    return backups, RetentionPolicy(kinds={BackupKind.LOGICAL: rules}), draw(some), draw(some), needs


@given(histories())
def test_promises(history):
    backups, policy, proven, held, needs = history
    decisions = plan(backups, policy, NOW, proven=proven, held=held, dependencies=needs, zone="UTC")
    kept = {decision.backup.backup_id for decision in decisions if decision.keep}
    assert len(decisions) == len(backups)
    assert held <= kept
    for name in ("a", "b"):
        of_database = sorted(backup.backup_id for backup in backups if backup.database == name)
        assert set([one for one in of_database if one in proven][-1:]) <= kept
        for kind in KINDS:
            ids = sorted(backup.backup_id for backup in backups if backup.database == name and backup.kind == kind)
            assert set(ids[-1:]) <= kept
    for backup in backups:
        if backup.kind is BackupKind.BASE:
            assert backup.backup_id in kept
        if NOW - backup.snapshot_at <= timedelta(days=policy.kinds[BackupKind.LOGICAL].days):
            assert backup.backup_id in kept
    assert all(needed in kept for one in kept for needed in needs.get(one, ()))


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

    def is_locked(self, key):
        return key in self.locked

    def delete(self, key):
        self.keys.remove(key)
        self.deleted.append(key)


def old_and_new():
    refs = [
        BackupRef(
            system="s",
            database="a",
            kind=BackupKind.LOGICAL,
            backup_id=f"{stamp(NOW - timedelta(days=age))}-00000001",
            stored_bytes=1,
        )
        for age in (90, 0)
    ]
    return refs, plan(refs, RetentionPolicy(), NOW, proven=(), held=(), dependencies={}, zone="UTC")


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
