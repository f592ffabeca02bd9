"""The maintenance plan as data: what is in it, why, and in which order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.base.maintenance import MaintenancePolicy
from tasks.postgres.inspect.age import age_check
from tasks.postgres.inspect.bloat import Bloat, estimated_bytes
from tasks.postgres.inspect.measuring import fresh_bytes, fresh_hash_bytes, measure
from tasks.postgres.inspect.relations import Index, Inspection, ServerFacts, Table
from tasks.postgres.maintain.batches import batches
from tasks.postgres.maintain.plan import Action, plan
from tasks.postgres.maintain.statements import statement

POLICY = MaintenancePolicy()
FACTS = ServerFacts(
    server_version_num=180000, standby=False, pgstattuple_schema="public", may_scan=True, data_folder=None, local=True,
    cluster_bytes=0, block_bytes=8192, role="nightshift",
)  # fmt: skip


SOUND_TABLE = Table(
    oid=1, parent_oid=0, schema_name="public", name="t", kind="r", rows=100_000, size_bytes=10_000_000,
    live_rows=100_000, dead_rows=0, changed_rows=0, xid_age=1, multixact_age=0, freeze_max_age=200_000_000,
    multixact_freeze_max_age=400_000_000, analyzed=True, may_maintain=True,
)  # fmt: skip
SOUND_INDEX = Index(
    oid=1, table_oid=1, schema_name="public", name="i", table_name="t", method="btree", size_bytes=100_000_000,
    rows=100_000, valid=True, unique=False, exclusion=False, partial=False, expression=False, fillfactor=90,
    location="",
)  # fmt: skip


def table(oid, **changes):
    return SOUND_TABLE.model_copy(update={"oid": oid, "name": f"t{oid}", **changes})


def index(oid, table_oid=1, **changes):
    return SOUND_INDEX.model_copy(update={"oid": oid, "table_oid": table_oid, "name": f"i{oid}", **changes})


def planned(tables=(), indexes=(), bloat=None):
    inspection = Inspection(facts=FACTS, tables=tuple(tables), indexes=tuple(indexes), checks=())
    return plan(inspection, bloat or {}, POLICY)


def measured(share):
    return Bloat(waste_share=share, method="pgstatindex", trust="measured")


def test_a_database_in_order_needs_nothing():
    assert planned([table(1), table(2)], [index(3)], {3: measured(0.1)}) == ()


def test_the_order_is_leftovers_freezing_vacuum_by_harm_statistics_rebuilds_by_what_they_give_back():
    steps = planned(
        [
            table(1, dead_rows=20_000),
            table(2, dead_rows=90_000, size_bytes=50_000_000),
            table(3, xid_age=150_000_000),
            table(4, xid_age=190_000_000),
            table(5, changed_rows=50_000),
        ],
        [index(10, 5), index(11, 5, size_bytes=900_000_000), index(12, 5, name="i9_ccnew1", valid=False)],
        {10: measured(0.9), 11: measured(0.5)},
    )
    assert [step.target for step in steps] == [
        "public.i9_ccnew1", "public.t4", "public.t3", "public.t2", "public.t1", "public.t5", "public.i11", "public.i10",
    ]  # fmt: skip


def test_what_is_vacuumed_and_changed_is_analyzed_in_the_same_pass():
    (step,) = planned([table(1, dead_rows=50_000, changed_rows=50_000)])
    assert (step.action, step.with_analyze) == (Action.VACUUM, True)


def test_a_partitioned_table_is_analyzed_when_a_partition_far_below_it_changed():
    tables = [
        table(1, kind="p"),
        table(2, kind="p", parent_oid=1),
        table(3, parent_oid=2, changed_rows=50_000),
        table(4, kind="p"),
    ]
    assert [step.oid for step in planned(tables)] == [3, 1, 2]


@pytest.mark.parametrize("trust", ["high", "low", "none"])
def test_only_a_measured_figure_rebuilds_an_index(trust):
    share = None if trust == "none" else 0.99
    assert planned([], [index(1)], {1: Bloat(waste_share=share, method="m", trust=trust)}) == ()


def test_an_exclusion_constraint_and_a_table_of_another_owner_are_refused_with_what_to_do():
    steps = planned([table(1, dead_rows=50_000, may_maintain=False)], [index(2, 9, exclusion=True)], {2: measured(0.9)})
    assert "GRANT MAINTAIN ON public.t1 TO nightshift (17+)" in steps[0].refused
    assert "REINDEX INDEX public.i2" in steps[1].refused


def test_statements_are_gentle_and_fit_the_version():
    (step,) = planned([table(1, name='odd "name"', xid_age=190_000_000, changed_rows=50_000)])
    newest = statement([step], POLICY, 180000).as_string()
    assert newest == (
        "VACUUM (SKIP_LOCKED, BUFFER_USAGE_LIMIT '2MB', TRUNCATE false, PARALLEL 2, SKIP_DATABASE_STATS, "
        'FREEZE, ANALYZE) ONLY "public"."odd ""name"""'
    )
    assert "BUFFER" not in statement([step], POLICY, 150000).as_string()


@settings(deadline=None)
@given(st.integers(1, 10**7), st.floats(1, 200), st.integers(50, 100))
def test_an_estimate_grows_with_rows_and_shrinks_with_fillfactor(rows, width, fillfactor):
    size = estimated_bytes(rows, width, fillfactor, 8192)
    assert estimated_bytes(rows * 2, width, fillfactor, 8192) >= size >= 2 * 8192
    assert estimated_bytes(rows, width, 100, 8192) <= size


@settings(deadline=None)
@given(st.integers(1, 10**6), st.integers(1, 10**4), st.floats(0, 100), st.integers(10, 100))
def test_a_rebuild_is_never_thought_larger_than_the_index(leaves, internal, density, fillfactor):
    assert 0 < fresh_bytes(leaves, internal, density, fillfactor, 8192) <= (leaves + internal + 1) * 8192


# Seen on PostgreSQL 18: fresh builds on unique keys.
@pytest.mark.parametrize(
    ("entries", "built_pages"),
    [(0, 4), (1, 4), (500, 4), (1000, 6), (20_000, 130), (78_000, 258), (80_000, 514), (157_000, 514), (160_000, 642),
     (200_000, 822), (240_000, 1026), (260_000, 1026), (320_000, 1282), (390_000, 1353), (640_000, 2562)],
)  # fmt: skip
def test_a_fresh_hash_index_is_never_thought_smaller_than_it_is(entries, built_pages):
    pages = fresh_hash_bytes(entries, 75, 8192) / 8192
    assert built_pages <= pages <= 2 * built_pages + 2


def test_of_a_brin_index_it_is_said_what_may_be_wrong_with_it():
    known = measure(None, FACTS, index(1, method="brin", name="it's"))
    assert (known.waste_share, known.trust) == (None, "none")
    assert "SELECT brin_summarize_new_values('public.\"it''s\"')" in known.reason


def test_an_index_of_no_leaf_pages_needs_its_meta_page():
    assert fresh_bytes(0, 0, float("nan"), 90, 8192) == 8192


@pytest.mark.parametrize(
    ("ages", "verdict"),
    [
        ({"xid_age": 199_999_999}, None),
        ({"xid_age": 200_000_001}, "WARN"),
        ({"multixact_age": 400_000_001}, "WARN"),
        ({"xid_age": 500_000_000, "freeze_max_age": 2_000_000_000}, "WARN"),
        ({"multixact_age": 1_200_000_000}, "FAIL"),
    ],
)
def test_the_age_of_the_oldest_table_is_told_before_the_server_refuses_writes(ages, verdict):
    found = age_check("shop", [table(1), table(2, **ages)])
    assert [str(check.verdict) for check in found] == ([verdict] if verdict else [])
    assert all(check.target == "shop public.t2" for check in found)


def test_neighbouring_small_tables_of_one_kind_share_a_statement_and_large_or_refused_ones_do_not():
    small = [table(oid, dead_rows=50_000, size_bytes=8192) for oid in range(10, 130)]
    steps = planned([table(1, dead_rows=50_000), table(2, dead_rows=50_000, may_maintain=False, size_bytes=1), *small])
    shared = batches(steps)
    assert [step for batch in shared for step in batch] == list(steps)
    assert [len(batch) for batch in shared] == [1, 50, 50, 20, 1]
    assert statement(shared[1][:2], POLICY, 150000).as_string().endswith('"public"."t10", "public"."t11"')
