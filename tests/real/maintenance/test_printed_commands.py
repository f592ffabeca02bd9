"""What is printed to be pasted is taken by the server as it stands, whatever the names in it are."""

import psycopg
import pytest

from tasks.base.clock import new_run_id
from tasks.base.maintenance import MaintenancePolicy
from tasks.base.system import Database
from tasks.base.words import Verdict
from tasks.postgres.inspect.age import age_check
from tasks.postgres.maintain.carry_out import checks_of, make_plan
from tasks.postgres.maintain.plan import Action
from tasks.postgres.maintain.statements import methods_of
from tasks.postgres.names import label, quoted
from tests.real.upkeep import autovacuum, holding

NAMES = [("user", "order"), ("Mixed Case", 'it\'s "the" table'), ("größe", "select"), ("plain", "name")]
POLICY = MaintenancePolicy(
    dead_rows=100, dead_share=0.01, index_bytes=100_000, index_waste_share=0.2, table_bytes=500_000,
    table_waste_share=0.2, freeze_age_share=1,
)  # fmt: skip


def test_names_are_quoted_exactly_where_the_server_does_it(shop):
    with psycopg.connect(shop) as session:
        keywords = [word for (word,) in session.execute("SELECT word FROM pg_get_keywords()").fetchall()]
        names = [*keywords, *sum(NAMES, ()), "a1", "_x", "1a", "a$b", "a-b", "", "A", "naïve", 'a"b', "a.b", "x\n"]
        by_server = session.execute("SELECT array_agg(quote_ident(n)) FROM unnest(%s::text[]) n", (names,)).fetchone()
    assert [list(map(quoted, names))] == list(by_server)


@pytest.fixture
def awkward(shop):
    """A session; tables of those names, worn, with doubled and invalid indexes, and foreign keys without one."""
    with psycopg.connect(shop, autocommit=True) as session:
        session.execute("CREATE EXTENSION pgstattuple")
        for schema, name in NAMES:
            session.execute(f"CREATE SCHEMA {quoted(schema)}".encode())
            session.execute(f"SET search_path = {quoted(schema)}, public".encode())
            made = (
                'CREATE TABLE {} (id int PRIMARY KEY, "group" text, parent int, EXCLUDE (id WITH =)) '
                "WITH (autovacuum_enabled = off)",
                "INSERT INTO {} SELECT n, md5(n::text), n FROM generate_series(1, 16000) n",
                "ALTER TABLE {0} ADD FOREIGN KEY (parent) REFERENCES {0} NOT VALID",
                'CREATE INDEX "Index" ON {} ("group")',
                'CREATE INDEX "index" ON {} ("group")',
                'CREATE INDEX "desc" ON {} USING gin ((ARRAY["group"]))',
                "ALTER TABLE {} DISABLE TRIGGER ALL",
                "DELETE FROM {} WHERE id % 3 = 0",
                "ANALYZE {}",
            )
            for statement in made:
                session.execute(statement.format(quoted(name)).encode())
        session.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'plain.\"Index\"'::regclass")
        session.execute("SELECT pg_stat_force_next_flush()")
        session.execute("RESET search_path")
        yield session


def test_every_printed_command_of_maintenance_is_taken_by_the_server(awkward, shop):
    planned = make_plan(Database(name="shop", dsn=shop), POLICY, new_run_id(), {})
    methods = methods_of(planned.steps, POLICY, planned.inspection.facts.server_version_num)
    assert {step.action for step in planned.steps} >= {Action.VACUUM, Action.REINDEX}
    assert all(label(*name) in " ".join(methods) for name in NAMES)
    steps = [method for step, method in zip(planned.steps, methods, strict=True) if not step.refused]
    refused = [step.refused.partition("in a quiet hour: ")[2] for step in planned.steps if step.refused]
    assert len(refused) == len(NAMES)
    old = [table.model_copy(update={"xid_age": 10**9}) for table in planned.inspection.tables if table.name == "order"]
    checks = [*checks_of("shop", planned, POLICY), *age_check("shop", old)]
    named = {"autovacuum behind", "invalid indexes", "duplicate indexes", "unindexed foreign keys", "table bloat"}
    assert named | {"freeze age"} <= {check.name for check in checks}
    commands = [check.next_command for check in checks if check.name in named | {"freeze age"}]
    assert len(commands) >= 4 * len(NAMES)
    said = [check.message for check in checks if check.name == "index bloat" and check.verdict is Verdict.INFO]
    rebuilds = [message.partition("; ")[2].removesuffix(" if it grew without reason") for message in said]
    assert len(rebuilds) >= len(NAMES)
    # What drops comes last: it takes away what the others name.
    for command in sorted([*steps, *refused, *commands, *rebuilds], key=lambda text: text.startswith("DROP")):
        awkward.execute(command.encode())
    awkward.execute("ALTER SYSTEM RESET autovacuum")


def test_of_a_catalog_that_autovacuum_left_behind_only_a_vacuum_is_advised(shop):
    churn = "BEGIN FOR n IN 1..400 LOOP CREATE TEMP TABLE churned (a int, b int); DROP TABLE churned; END LOOP; END"
    with psycopg.connect(shop, autocommit=True) as session, autovacuum(session), holding(shop):
        session.execute(f"DO $${churn}$$".encode())
        session.execute("SELECT pg_stat_force_next_flush()")
        planned = make_plan(Database(name="shop", dsn=shop), POLICY, new_run_id(), {})
        behind = [check.next_command for check in planned.inspection.checks if check.name == "autovacuum behind"]
        assert "VACUUM (ANALYZE) pg_catalog.pg_attribute" in behind
        for command in behind:
            session.execute(command.encode())


def test_a_doubled_index_below_a_partitioned_table_is_dropped_where_the_server_lets_it_go(shop):
    def found():
        planned = make_plan(Database(name="shop", dsn=shop), POLICY, new_run_id(), {})
        doubled = [check for check in planned.inspection.checks if check.name == "duplicate indexes"]
        return {check.target: check.next_command for check in doubled}

    with psycopg.connect(shop, autocommit=True) as session:
        for statement in (
            "CREATE TABLE visits (day int) PARTITION BY RANGE (day)",
            "CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM (0) TO (10)",
            "CREATE INDEX own ON visits_1 (day)",
            # The first takes the partition's own index for its leaf, the second makes one.
            "CREATE INDEX kept ON visits (day)",
            "CREATE INDEX doubled ON visits (day)",
            "CREATE INDEX alone ON visits_1 (day)",
        ):
            session.execute(statement)
        commands = found()
        assert commands == {
            "shop public.doubled": "DROP INDEX public.doubled",
            "shop public.alone": "DROP INDEX CONCURRENTLY public.alone",
        }
        for command in commands.values():
            session.execute(command.encode())
    assert found() == {}
