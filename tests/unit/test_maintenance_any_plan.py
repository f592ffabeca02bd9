"""Whatever an inspection found and whatever is left of the window: what holds for every plan, and for what begins."""

from datetime import timedelta
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tasks.base.clock import utc_now
from tasks.base.maintenance import MaintenancePolicy, Opening
from tasks.postgres.inspect.bloat import Bloat
from tasks.postgres.inspect.relations import Inspection
from tasks.postgres.maintain.gates import closed, disk_closed
from tasks.postgres.maintain.history import Rates
from tasks.postgres.maintain.plan import LEFTOVER, Action, plan
from tasks.postgres.maintain.rest import Rest
from tests.unit.test_maintenance_plan import FACTS, index, table

# No stopwatch: a machine with other work to do may take its time.
EVERY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
ORDER = list(Action)
COUNTS = st.integers(0, 10**9)
TABLES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from("rrrmp"), "parent_oid": st.integers(0, 9), "size_bytes": st.integers(0, 10**12),
        "live_rows": COUNTS, "dead_rows": COUNTS, "changed_rows": COUNTS, "analyzed": st.booleans(),
        "xid_age": st.integers(0, 2 * 10**9), "multixact_age": st.integers(0, 2 * 10**9), "may_maintain": st.booleans(),
    }
)  # fmt: skip
INDEXES = st.fixed_dictionaries(
    {
        "table_oid": st.integers(1, 9), "size_bytes": st.integers(0, 10**11), "valid": st.booleans(),
        "exclusion": st.booleans(), "name": st.sampled_from(["i", "i_ccnew", "i_ccold1", "i_ccnew2b"]),
    }
)  # fmt: skip
SHARES = st.floats(0, 1)
BLOATS = st.one_of(
    st.none(),
    st.just(Bloat(waste_share=None, method="none", trust="none", reason="why")),
    st.builds(Bloat, waste_share=SHARES, method=st.just("m"), trust=st.sampled_from(["measured", "high", "low"])),
)
POLICIES = st.builds(
    MaintenancePolicy, freeze_age_share=st.floats(0.01, 2), dead_share=SHARES, dead_rows=st.integers(1, 10**6),
    changed_share=SHARES, changed_rows=st.integers(1, 10**6), index_waste_share=st.floats(0.01, 0.99),
)  # fmt: skip


@st.composite
def plans(draw):
    """An inspection of up to nine tables and indexes, what is known of their bloat, a policy, and the plan."""
    tables = [table(oid, **one) for oid, one in enumerate(draw(st.lists(TABLES, max_size=9)), 1)]
    # A partition lies below a table that was made before it.
    tables = [one.model_copy(update={"parent_oid": min(one.parent_oid, one.oid - 1)}) for one in tables]
    indexes = [index(oid, **one) for oid, one in enumerate(draw(st.lists(INDEXES, max_size=9)), 101)]
    bloat = {one.oid: known for one in indexes if (known := draw(BLOATS)) is not None}
    policy = draw(POLICIES)
    inspection = Inspection(facts=FACTS, tables=tuple(tables), indexes=tuple(indexes), checks=())
    return inspection, bloat, policy, plan(inspection, bloat, policy)


@EVERY
@given(plans())
def test_leftovers_and_freezing_come_first_rebuilds_last_and_nothing_twice(made):
    _, _, _, steps = made
    places = [ORDER.index(step.action) for step in steps]
    assert places == sorted(places)
    assert len({(step.action, step.oid) for step in steps}) == len(steps)
    vacuumed = [step.oid for step in steps if step.action in (Action.FREEZE, Action.VACUUM)]
    assert len(set(vacuumed)) == len(vacuumed)


@EVERY
@given(plans())
def test_every_table_that_is_old_is_frozen_the_oldest_first_and_no_other(made):
    inspection, _, policy, steps = made
    by_oid = {one.oid: one for one in inspection.tables}
    frozen = [by_oid[step.oid] for step in steps if step.action is Action.FREEZE]
    old = [one for one in inspection.tables if one.kind != "p" and one.freeze_share >= policy.freeze_age_share]
    assert {one.oid for one in frozen} == {one.oid for one in old}
    assert [one.freeze_share for one in frozen] == sorted((one.freeze_share for one in frozen), reverse=True)


@EVERY
@given(plans())
def test_an_index_is_rebuilt_only_when_measured_to_be_bloated_or_to_be_measured_again_behind_its_vacuum(made):
    inspection, bloat, policy, steps = made
    by_oid = {one.oid: one for one in inspection.indexes}
    vacuumed = {step.oid for step in steps if step.action in (Action.FREEZE, Action.VACUUM)}
    for step in steps:
        if step.action is Action.REINDEX:
            known, one = bloat[step.oid], by_oid[step.oid]
            confirmed = known.trust == "measured" and known.waste_share >= policy.index_waste_share
            assert confirmed or (one.table_oid in vacuumed and known.trust in ("measured", "high"))
            assert one.valid
            assert bool(step.refused) is one.exclusion


@EVERY
@given(plans())
def test_only_invalid_leftovers_of_rebuilds_are_dropped_and_no_table_of_another_owner_is_touched(made):
    inspection, _, _, steps = made
    dropped = {step.oid for step in steps if step.action is Action.DROP_LEFTOVER}
    assert dropped == {one.oid for one in inspection.indexes if not one.valid and LEFTOVER.search(one.name)}
    foreign = {one.oid for one in inspection.tables if not one.may_maintain}
    assert all(step.refused for step in steps if step.oid in foreign)


@pytest.fixture(scope="module")
def rates():
    return Rates([])


@EVERY
@given(made=plans(), share=st.sampled_from([-1, 0, 0.4, 0.7, 0.99, 1.01, 3]), many=st.integers(1, 9))
def test_nothing_begins_that_does_not_fit_into_the_rest_of_the_window(rates, made, share, many):
    _, _, _, steps = made
    assume(steps)
    needed = sum(rates.expect(step).seconds for step in steps[:many])
    now, left = utc_now(), share * needed
    rest = Rest(Opening(start=now - timedelta(days=99), end=now + timedelta(seconds=left)), rates)
    with patch("tasks.postgres.maintain.rest.utc_now", return_value=now):
        assert bool(rest.refuses(*steps[:many])) is (share < 1)
        assert bool(rest.over()) is (share <= 0)


@pytest.mark.parametrize("version", [140000, 140003])
def test_no_rebuild_begins_on_a_server_that_would_break_the_index(version):
    facts = FACTS.model_copy(update={"server_version_num": version})
    assert "breaks indexes before 14.4; update the server first" in closed(None, index(1), MaintenancePolicy(), facts)


@pytest.mark.parametrize(("disk", "used", "says"), [(1000, 800, ""), (1000, 801, "has 199 bytes free"), (10, 20, "0")])
def test_a_rebuild_needs_twice_the_index_on_the_disk_that_the_policy_names(disk, used, says):
    facts = FACTS.model_copy(update={"cluster_bytes": used})
    said = disk_closed(index(1, size_bytes=100), MaintenancePolicy(disk_bytes=disk), facts)
    assert says in said
    assert bool(said) is bool(says)


def test_the_disk_of_a_server_elsewhere_is_not_known_and_said_so(tmp_path):
    here = FACTS.model_copy(update={"data_folder": tmp_path})
    assert disk_closed(index(1, size_bytes=0), MaintenancePolicy(), here) == ""
    away = here.model_copy(update={"local": False})
    assert "set maintenance.disk_bytes" in disk_closed(index(1, size_bytes=0), MaintenancePolicy(), away)
    # Its tablespace may be one that this role may not look into.
    closed_off = index(1, size_bytes=0, location=str(tmp_path / "gone"))
    assert "set maintenance.disk_bytes" in disk_closed(closed_off, MaintenancePolicy(), here)
