"""The measured side in a process of its own: reads a job, says it is ready, runs it on a newline, says the seconds.

So interpreter start and imports are not timed, and the memory that is sampled is the engine's and its children's.
"""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from tasks.base.backup import BackupPolicy, RestoreTestPolicy, RetentionPolicy
from tasks.base.capacity import DatabaseSampling
from tasks.base.clock import new_run_id, stopwatch, utc_now
from tasks.base.maintenance import MaintenancePolicy, Opening
from tasks.base.system import Database, RepositoryPolicy
from tasks.base.words import Verdict
from tasks.postgres.backup.logical import back_up
from tasks.postgres.maintain.carry_out import make_plan
from tasks.postgres.maintain.database import Job
from tasks.postgres.maintain.database import maintain as maintain_database
from tasks.postgres.restore.logical import prove
from tasks.postgres.samples import sample_database
from tasks.repository import catalog, records, retention
from tasks.repository.opening import open_store

SYSTEM = "bench"


def backup(job: dict[str, Any]) -> str:
    """One backup; its prefix in the repository."""
    store = open_store(RepositoryPolicy(url=job["repository"]))
    policy = BackupPolicy(recipients=(job["recipient"],), fingerprint={"mode": job["fingerprint"]})
    database = Database(name="shop", dsn=job["dsn"])
    return back_up(SYSTEM, database, policy, store, new_run_id(), lambda *_: None).prefix


def restore_test(job: dict[str, Any]) -> str:
    """One restore test with all that it checks. Raises RuntimeError when the backup is not proven."""
    store = open_store(RepositoryPolicy(url=job["repository"]))
    manifest, policy = catalog.load_manifest(store, job["backup"]), RestoreTestPolicy(identity=job["identity"])
    proof = prove(store, manifest, policy, lambda *_: None)
    if proof.proven != "proven":
        raise RuntimeError(f"not proven: {[rung for rung in proof.rungs if rung.verdict != 'OK']}")
    return ", ".join(f"{rung.name} {rung.duration_seconds}" for rung in proof.rungs)


def plan_retention(job: dict[str, Any]) -> str:
    """The plan for everything in the repository."""
    store = open_store(RepositoryPolicy(**job["policy"]))
    backups = catalog.list_backups(store, SYSTEM)
    decisions = retention.plan(
        backups,
        RetentionPolicy(),
        utc_now(),
        tested={"shop": records.tested_backups(store, SYSTEM, "shop")},
        held={"shop": records.held_backup_ids(store, SYSTEM, "shop")},
        dependencies={},
        zone="UTC",
    )
    return f"{len(decisions)} backups planned"


def maintain(job: dict[str, Any]) -> str:
    """All that a run does with one database, from taking its lock to the rows of its report."""
    store, now = open_store(RepositoryPolicy(url=job["repository"])), utc_now()
    policy = MaintenancePolicy(dead_rows=1, dead_share=0, changed_rows=1, changed_share=0)
    until = Opening(start=now, end=now + timedelta(hours=1))
    found = maintain_database(
        Job(store, SYSTEM, policy, new_run_id()), Database(name=job["dbname"], dsn=job["dsn"]), until
    )
    return f"{sum(row['verdict'] == Verdict.OK for row in found.rows)} of {len(found.rows)} steps done"


def inspect_database(job: dict[str, Any]) -> str:
    """Read all that a plan is made from."""
    planned = make_plan(Database(name="wide", dsn=job["dsn"]), MaintenancePolicy(), new_run_id(), {})
    return f"{len(planned.inspection.tables)} tables, {len(planned.inspection.indexes)} indexes"


def sample(job: dict[str, Any]) -> str:
    """Today's sample of one database. Raises RuntimeError when a part of it failed."""
    found = sample_database(Database(name="tables", dsn=job["dsn"]), DatabaseSampling(), (), new_run_id())
    if any(check.verdict != "OK" for check in found.checks):
        raise RuntimeError(f"not sampled: {found.checks}")
    return f"{len(found.samples)} resources sampled"


def main() -> None:
    """Run one job, see the module."""
    job = json.loads(Path(sys.argv[1]).read_text())
    if job["work"] == "capacity_report":
        # What only this one imports would count as the memory of the others.
        from benchmarks.engine_capacity import capacity_report as work  # noqa: PLC0415
    elif job["work"] in ("review_log", "read_lines"):
        from benchmarks import engine_logs  # noqa: PLC0415

        work = getattr(engine_logs, job["work"])
    elif job["work"].startswith("ledger_"):
        from benchmarks import engine_ledger  # noqa: PLC0415

        work = getattr(engine_ledger, job["work"])
    else:
        work = {
            "backup": backup,
            "restore_test": restore_test,
            "plan_retention": plan_retention,
            "maintain": maintain,
            "inspect": inspect_database,
            "sample": sample,
        }[job["work"]]
    print("ready", flush=True)
    sys.stdin.readline()
    elapsed = stopwatch()
    said = work(job)
    print(json.dumps({"seconds": elapsed(), "said": said}), flush=True)


if __name__ == "__main__":
    main()
