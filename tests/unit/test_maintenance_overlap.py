"""Schedules that meet in a maintenance window: one lock per database decides, and neither of them is lost by it."""

from datetime import UTC, timedelta

import pytest

from tasks.base.maintenance import opening
from tasks.base.systems import known_systems, load_system
from tasks.base.words import LockPolicy
from tests.unit.test_schedules import year_of

# A run that was cancelled at the window's end cleans up behind itself before it gives the lock back.
CLEANING = timedelta(minutes=5)


def backups_inside(system):
    """The schedule, the moment and the window's opening of every backup of a year, of any kind, that falls into one."""
    for schedule in system.schedules:
        if schedule.flow.endswith("_backup") and schedule.cron:
            for moment in year_of(schedule.cron, schedule.timezone or system.timezone):
                inside = opening(system.maintenance.windows, moment.astimezone(UTC), system.timezone)
                if inside:
                    yield schedule, moment.astimezone(UTC), inside


def test_the_backups_of_myproject_nexa_fall_into_its_own_window():
    found = list(backups_inside(load_system("myproject-nexa")))
    assert {procedure for schedule, _, _ in found for procedure in schedule.procedures} == {"MN-055"}
    # Each Saturday, MN-107, at two in the morning.
    assert {(moment.weekday(), moment.hour) for _, moment, _ in found} == {(5, 2)}
    assert len(found) >= 52


def test_a_backup_of_the_configuration_at_three_would_fall_into_it_too_and_outlast_it():
    # MN-056, daily at 03:00 UTC by the runbook; no schedule fulfils it yet, and what waits is the policy of backups.
    system = load_system("myproject-nexa")
    (opened,) = {inside for _, _, inside in list(backups_inside(system))[:1]}
    moment = opened.start + timedelta(hours=3)
    assert (moment.weekday(), moment.hour, opened.start <= moment < opened.end) == (5, 3, True)
    assert system.backup.on_lock is LockPolicy.WAIT
    assert timedelta(seconds=system.backup.lock_wait_seconds) >= opened.end - moment + CLEANING


@pytest.mark.parametrize("name", known_systems())
def test_a_backup_that_meets_maintenance_waits_until_the_window_is_over(name):
    system = load_system(name)
    for schedule, moment, inside in backups_inside(system):
        told = f"{schedule.slug} of {moment}"
        assert system.backup.on_lock is LockPolicy.WAIT, told
        assert timedelta(seconds=system.backup.lock_wait_seconds) >= inside.end - moment + CLEANING, told


@pytest.mark.parametrize("name", known_systems())
def test_maintenance_waits_for_a_backup_rather_than_lose_its_window(name):
    system = load_system(name)
    if system.maintenance.windows:
        assert system.maintenance.on_lock is LockPolicy.WAIT
