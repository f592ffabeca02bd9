"""A rotation that is killed, or fails, at any moment leaves one password everywhere, or what the next run mends."""

import pytest

from tasks.base.errors import IncompleteError, NightshiftError, RefusedError
from tasks.postgres.rotation.rotate import Rotation
from tasks.repository.local import LocalStore
from tasks.repository.rotations import Rotations, Step

OLD = "old-password"


class Killed(BaseException):
    """SIGKILL: nothing of the run goes on."""


class World:
    """A server, a place and a journal; what it does before or after call number `at` goes wrong."""

    def __init__(self, folder, readable=True):
        self.server_has, self.kept, self.beside = f"v:{OLD}", OLD, None
        self.store, self.readable = LocalStore(str(folder)), readable
        self.calls, self.at, self.fault, self.after = 0, None, None, False
        self.killed_at, self.trusts = None, False

    def step(self, act):
        """One effect on the world, with the fault before or after it."""
        self.calls += 1
        if self.killed_at is not None and self.calls >= self.killed_at:
            raise Killed
        hit = self.calls == self.at or (self.fault is Killed and self.at and self.calls > self.at)
        if hit and not self.after:
            raise self.fault("a fault")
        result = act()
        if hit:
            raise self.fault("a fault")
        return result

    def run(self, at=None, fault=None, after=False, killed_at=None):
        """One run of the flow: mend, then rotate unless the mending was the rotation."""
        self.calls, self.at, self.fault, self.after, self.killed_at = 0, at, fault, after, killed_at
        rotations = Rotations(self.store, "acme", f"{id(self)}-{at}-{fault}-{after}")
        world = Faced(self, rotations)
        rotation = Rotation(world, world, world.record)
        rotation.finish(rotations.interrupted("app"))
        if not rotations.proven_by("app", rotations.run_id):
            rotation.rotate(world.verifier())

    @property
    def is_consistent(self):
        return self.server_has == f"v:{self.kept}" and self.beside is None


class Faced:
    """The world as a rotation sees it, each effect one step."""

    role, what, staged_at = "app", "the place", "beside the place"

    def __init__(self, world, rotations):
        self.world, self.rotations, self.readable = world, rotations, world.readable

    def record(self, step, detail):
        self.world.step(lambda: self.rotations.record("app", step, detail))

    def verifier(self):
        return self.world.step(lambda: self.world.server_has)

    def verifier_of(self, password):
        return f"v:{password}"

    def set_verifier(self, verifier):
        self.world.step(lambda: setattr(self.world, "server_has", verifier))

    def accepts(self, password):
        return self.world.step(lambda: self.world.server_has == f"v:{password}")

    def check_password_matters(self):
        if self.world.trusts:
            raise NightshiftError("a wrong password was let in")

    def read(self):
        return self.world.step(lambda: self.world.kept) if self.readable else None

    def write(self, password):
        self.world.step(lambda: setattr(self.world, "kept", password))

    def staged(self):
        return self.world.step(lambda: self.world.beside)

    def stage(self, password):
        self.world.step(lambda: setattr(self.world, "beside", password))

    def unstage(self):
        self.world.step(lambda: setattr(self.world, "beside", None))


def steps_of(folder, readable):
    world = World(folder, readable)
    world.run()
    assert world.is_consistent
    assert world.kept != OLD
    return world.calls


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.parametrize("after", [False, True])
def test_killed_before_or_after_any_step_the_next_run_mends(tmp_path, readable, after):
    for at in range(1, steps_of(tmp_path / "whole", readable) + 1):
        world = World(tmp_path / str(at), readable)
        with pytest.raises(Killed):
            world.run(at, Killed, after)
        # Either nothing is half done, or what the server has lies beside the place for the next run.
        assert world.server_has in (f"v:{world.kept}", f"v:{world.beside}"), at
        world.run()
        assert world.is_consistent, at
        assert world.kept != OLD
        assert Rotations(world.store, "acme", "look").interrupted("app") is None


@pytest.mark.parametrize("again", [1, 3, 6])
def test_killed_while_it_mends_it_is_mended_by_the_next_one(tmp_path, again):
    for at in range(1, steps_of(tmp_path / "whole", True) + 1):
        world = World(tmp_path / f"{at}")
        for number in (at, again):
            with pytest.raises(Killed):
                world.run(number, Killed)
        world.run()
        assert world.is_consistent, at


@pytest.mark.parametrize("after", [False, True])
def test_one_step_that_fails_leaves_one_password_everywhere_or_is_mended(tmp_path, after):
    for at in range(1, steps_of(tmp_path / "whole", True) + 1):
        world = World(tmp_path / str(at))
        with pytest.raises(NightshiftError):
            world.run(at, RefusedError, after)
        assert world.server_has in (f"v:{world.kept}", f"v:{world.beside}"), at
        world.run()
        assert world.is_consistent, at


@pytest.mark.parametrize("then", [1, 2, 3, 4, 5])
def test_killed_while_a_failure_is_taken_back_the_next_run_mends(tmp_path, then):
    for at in range(1, steps_of(tmp_path / "whole", True) + 1):
        world = World(tmp_path / str(at))
        with pytest.raises((NightshiftError, Killed)):
            world.run(at, RefusedError, after=True, killed_at=at + then)
        assert world.server_has in (f"v:{world.kept}", f"v:{world.beside}"), at
        world.run()
        assert world.is_consistent, at


def test_a_failure_after_the_server_was_changed_is_taken_back_and_told(tmp_path):
    world = World(tmp_path)

    class Broken(Faced):
        def write(self, password):
            raise RefusedError("cannot write the place: No space left on device")

    rotations = Rotations(world.store, "acme", "run")
    faced = Broken(world, rotations)
    with pytest.raises(NightshiftError, match=r"No space left.*taken back: the old password holds everywhere"):
        Rotation(faced, faced, faced.record).rotate(world.server_has)
    assert (world.server_has, world.kept, world.beside) == (f"v:{OLD}", OLD, None)
    assert [one.step for one in rotations._records] == [Step.INTENDED, Step.TAKEN_BACK]


@pytest.mark.parametrize("known", [True, False])
def test_what_another_host_left_is_settled_only_where_a_login_tells(tmp_path, monkeypatch, known):
    world = World(tmp_path, readable=known)
    monkeypatch.setattr("tasks.repository.rotations.socket.gethostname", lambda: "other-host")
    Rotations(world.store, "acme", "killed").record("app", Step.INTENDED)
    monkeypatch.undo()
    if known:
        world.run()
        assert world.is_consistent
    else:
        with pytest.raises(IncompleteError, match=r"interrupted on host other-host.*start the flow there"):
            world.run()
        assert (world.server_has, world.kept) == (f"v:{OLD}", OLD)


def test_a_journal_that_takes_no_end_is_told_and_the_next_run_records_it(tmp_path):
    world = World(tmp_path)
    with pytest.raises(NightshiftError, match="proven and kept in the place, but the journal did not take it"):
        world.run(steps_of(tmp_path / "whole", True) - 1, RefusedError)
    kept = world.kept
    world.run()
    assert (world.kept, world.is_consistent) == (kept, True), "the next run does not rotate again"


def test_what_lies_beside_is_not_believed_where_any_password_is_let_in(tmp_path):
    world = World(tmp_path)
    world.beside, world.trusts = "new", True
    with pytest.raises(NightshiftError, match="wrong password"):
        world.run()
    assert (world.server_has, world.kept, world.beside) == (f"v:{OLD}", OLD, "new")
