"""Rules about settings, each with its reason and its source: pure functions of settings and machine.

Sources: "manual" is PostgreSQL's documentation by chapter, "wiki" is "Tuning Your PostgreSQL Server" of its wiki.
"""

from collections.abc import Callable, Iterator

from tasks.base.words import Verdict
from tasks.postgres.review.settings import Advice, Machine, Settings

_GIB, _MIB = 1024**3, 1024**2
_SMALL_DATABASE = 256 * _MIB
_LARGE_TABLE_ROWS = 10_000_000
# Settings with one right value: name, the value that is wrong, how bad that is, why, source.
_SWITCHES = (
    ("fsync", "off", Verdict.WARN, "a crash of the machine leaves a database that cannot be repaired", "manual 19.5.1"),
    ("full_page_writes", "off", Verdict.WARN, "a page that a crash tore cannot be repaired", "manual 19.5.1"),
    ("autovacuum", "off", Verdict.WARN, "dead rows stay, statistics age, and transaction ids run out", "manual 24.1"),
    ("track_counts", "off", Verdict.WARN, "autovacuum does not know where to work", "manual 19.9.1"),
    ("track_activities", "off", Verdict.WARN, "nobody sees what a session does", "manual 19.9.1"),
    ("zero_damaged_pages", "on", Verdict.WARN, "damaged pages are emptied in silence", "manual 19.17"),
    ("ignore_checksum_failure", "on", Verdict.WARN, "damaged pages are read as if they were whole", "manual 19.17"),
    ("pg_stat_statements.track", "none", Verdict.WARN, "no statement is counted", "manual, pg_stat_statements"),
    ("synchronous_commit", "off", Verdict.INFO, "a crash loses the last commits that were confirmed", "manual 19.5.1"),
    ("track_io_timing", "off", Verdict.INFO, "how long a statement waits for the disk is unknown", "manual 19.9.1"),
    ("log_lock_waits", "off", Verdict.INFO, "who waited for whose lock is not in the log", "manual 19.8.3"),
)  # fmt: skip
Rule = Callable[[Settings, Machine], Advice | None]


def judge(settings: Settings, machine: Machine) -> tuple[Advice, ...]:
    """Everything that does not fit, in the order of the rules; what the server did not say is not judged."""
    found = [rule(settings, machine) for rule in _RULES]
    return (*_switched(settings), *(one for one in found if one is not None))


def _switched(settings: Settings) -> Iterator[Advice]:
    for name, wrong, verdict, reason, source in _SWITCHES:
        if settings.text(name) == wrong:
            right = {"off": "on", "on": "off", "none": "top"}[wrong]
            said = f"is {wrong}: {reason}"
            yield Advice(setting=name, verdict=verdict, reason=said, source=source, command=_set(name, right))
    for name in settings.waiting:
        reason, command = "was changed and waits for a restart", "restart the server in a maintenance window"
        yield Advice(setting=name, verdict=Verdict.WARN, reason=reason, source="pg_settings", command=command)


def _checksums(settings: Settings, _machine: Machine) -> Advice | None:
    if settings.text("data_checksums") != "off":
        return None
    return Advice(
        setting="data_checksums",
        verdict=Verdict.INFO,
        reason="is off: a page that the disk changed is read as if it were whole",
        source="manual 28.2",
        command="pg_checksums --enable --progress, while the server is stopped",
    )


def _shared_buffers(settings: Settings, machine: Machine) -> Advice | None:
    value, memory = settings.number("shared_buffers"), machine.memory_bytes
    if value is None or memory is None:
        return None
    share, quarter = value / memory, memory // 4
    if share > 0.4:
        reason = f"is {share:.0%} of the memory; more than 40 % is unlikely to work better, the kernel caches as well"
        return _advice("shared_buffers", Verdict.WARN, reason, "manual 19.4.1", _size(quarter))
    # Data that fit into what there is gain nothing by more.
    if share < 0.15 and machine.database_bytes > value:
        reason = f"is {share:.0%} of the memory, and the data do not fit into it; 25 % is where to start"
        return _advice("shared_buffers", Verdict.INFO, reason, "manual 19.4.1", _size(min(quarter, 16 * _GIB)))
    return None


def _effective_cache_size(settings: Settings, machine: Machine) -> Advice | None:
    value, memory = settings.number("effective_cache_size"), machine.memory_bytes
    if value is None or memory is None or 0.5 * memory <= value <= memory:
        return None
    if value < 0.5 * memory and machine.database_bytes < max(_SMALL_DATABASE, value):
        return None
    much, so = ("more than", "cheaper") if value > memory else ("less than half of", "dearer")
    reason = f"is {much} the memory, so the planner takes indexes for {so} than they are"
    return _advice("effective_cache_size", Verdict.INFO, reason, "manual 19.7.2, wiki", _size(int(memory * 0.7)))


def _work_mem(settings: Settings, machine: Machine) -> Advice | None:
    work, sessions = settings.number("work_mem"), settings.number("max_connections")
    buffers, memory = settings.number("shared_buffers"), machine.memory_bytes
    if work is None or sessions is None or buffers is None or memory is None:
        return None
    hashing = work * (settings.number("hash_mem_multiplier") or 1.0)
    if buffers + hashing * sessions <= memory:
        return None
    fits = max(4 * _MIB, int((memory - buffers) / sessions / 3))
    reason = (
        f"times hash_mem_multiplier times max_connections is {hashing * sessions / _GIB:.1f} GiB, with shared_buffers "
        f"more than the memory of {memory / _GIB:.1f} GiB: one hash in each session and the kernel kills the server"
    )
    remedy = _size(fits) if fits < work else "4MB"
    found = _advice("work_mem", Verdict.WARN, reason, "manual 19.4.1", remedy)
    return found.model_copy(update={"command": f"{found.command} -- or lower max_connections, behind a pooler"})


def _maintenance_work_mem(settings: Settings, machine: Machine) -> Advice | None:
    value, memory = settings.number("maintenance_work_mem"), machine.memory_bytes
    workers, own = settings.number("autovacuum_max_workers"), settings.number("autovacuum_work_mem")
    if value is None or memory is None or workers is None:
        return None
    each = value if own in (None, -1.0) else own
    if each * workers > memory / 4:
        reason = (
            f"lets {workers:.0f} autovacuum workers take {each * workers / _GIB:.1f} GiB, over a quarter of the memory"
        )
        name = "maintenance_work_mem" if own in (None, -1.0) else "autovacuum_work_mem"
        return _advice(name, Verdict.WARN, reason, "manual 19.4.1", _size(int(memory / 4 / workers)))
    if value <= 64 * _MIB and memory >= 8 * _GIB and machine.database_bytes > 10 * _GIB:
        reason = (
            "is the small default: index builds sort on disk, vacuum of large tables reads their indexes repeatedly"
        )
        return _advice("maintenance_work_mem", Verdict.INFO, reason, "manual 19.4.1", _size(min(_GIB, memory // 16)))
    return None


def _random_page_cost(settings: Settings, machine: Machine) -> Advice | None:
    value = settings.number("random_page_cost")
    if value is None or not machine.solid_state or value < 2:
        return None
    reason = f"is {value:g}, for disks that turn: on solid state the planner takes indexes for dearer than they are"
    return _advice("random_page_cost", Verdict.INFO, reason, "manual 19.7.2", "1.1")


def _scale_factor(settings: Settings, machine: Machine) -> Advice | None:
    value = settings.number("autovacuum_vacuum_scale_factor")
    if value is None or value < 0.1 or machine.largest_table_rows < _LARGE_TABLE_ROWS:
        return None
    dead = value * machine.largest_table_rows
    reason = f"lets {dead:,.0f} rows of the largest table die before autovacuum begins"
    return _advice("autovacuum_vacuum_scale_factor", Verdict.INFO, reason, "manual 24.1.6", "0.02")


def _completion_target(settings: Settings, _machine: Machine) -> Advice | None:
    value = settings.number("checkpoint_completion_target")
    if value is None or value >= 0.9:
        return None
    reason = f"is {value:g}: checkpoints write faster than they need to, and stand in the way of statements"
    return _advice("checkpoint_completion_target", Verdict.INFO, reason, "manual 28.5", "0.9")


def _slow_log(settings: Settings, _machine: Machine) -> Advice | None:
    if settings.number("log_min_duration_statement") != -1:
        return None
    reason = "is -1: no slow statement is in the log, and counters do not tell which call of many was slow"
    return _advice("log_min_duration_statement", Verdict.INFO, reason, "manual 19.8.2", "1s")


def _idle_transactions(settings: Settings, _machine: Machine) -> Advice | None:
    if settings.number("idle_in_transaction_session_timeout") != 0:
        return None
    reason = "is 0: a transaction that a client forgot keeps its locks, and keeps vacuum from removing rows"
    return _advice("idle_in_transaction_session_timeout", Verdict.INFO, reason, "manual 19.11.1", "10min")


_RULES: tuple[Rule, ...] = (
    _checksums, _shared_buffers, _effective_cache_size, _work_mem, _maintenance_work_mem, _random_page_cost,
    _scale_factor, _completion_target, _slow_log, _idle_transactions,
)  # fmt: skip


def _advice(setting: str, verdict: Verdict, reason: str, source: str, value: str) -> Advice:
    return Advice(setting=setting, verdict=verdict, reason=reason, source=source, command=_set(setting, value))


def _set(setting: str, value: str) -> str:
    return f"ALTER SYSTEM SET {setting} = '{value}'"


def _size(count: int) -> str:
    return f"{count // _MIB}MB"
