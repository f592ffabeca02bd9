"""Files that hold a password: exactly one entry changes, libpq's way of reading decides, and nobody else reads it."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.base.errors import ConfigurationError, RefusedError
from tasks.credentials import environment_file, files, passfile

NAMES = st.text(st.sampled_from("ab:\\*# é"), min_size=1, max_size=4)
PASSWORDS = st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), min_size=1, max_size=12)
FIELDS = st.one_of(st.just("*"), NAMES)
LINES = st.lists(
    st.one_of(
        st.just("# a comment: with:colons:in:it"),
        st.just(""),
        st.just("db:5432:shop"),
        st.tuples(FIELDS, FIELDS, FIELDS, NAMES, PASSWORDS).map(
            lambda one: ":".join([*passfile.entry_of(*one[:4]), one[4].replace("\\", "\\\\").replace(":", "\\:")])
        ),
    ),
    max_size=6,
)


def libpq(text, wanted):
    """What libpq finds: written after its passwordFromFile, a character at a time."""
    for line in text.split("\n"):
        rest = line.rstrip("\r")
        if rest.startswith("#"):
            continue
        for value in wanted:
            rest = matched(rest, value)
            if rest is None:
                break
        else:
            return unescaped(rest)
    return None


def matched(line, value):
    """What stands behind the field and its colon; None when it does not match."""
    if line.startswith("*:"):
        return line[2:]
    place = 0
    for character in value:
        if line[place : place + 1] == "\\":
            place += 1
        if line[place : place + 1] != character:
            return None
        place += 1
    return line[place + 1 :] if line[place : place + 1] == ":" else None


def unescaped(rest):
    found, place = "", 0
    while place < len(rest) and rest[place] != ":":
        if rest[place] == "\\" and place + 1 < len(rest):
            place += 1
        found, place = found + rest[place], place + 1
    return found


def concrete(key):
    """A connection that only wildcards and this very entry match."""
    return tuple("some-host" if field == "*" and place < 3 else field for place, field in enumerate(key))


@given(lines=LINES, key=st.tuples(FIELDS, FIELDS, FIELDS, NAMES), password=PASSWORDS, end=st.sampled_from(["", "\n"]))
def test_libpq_finds_the_new_password_and_every_other_one_as_before(lines, key, password, end):
    text, entry = "\n".join(lines) + end, passfile.entry_of(*key)
    try:
        changed = passfile.with_password(text, entry, password)
    except ConfigurationError:
        assert libpq(text, concrete(key)) is not None, "another line wins"
        return
    assert passfile.password_in(changed, entry) == password
    assert libpq(changed, concrete(key)) == password
    kept = [line for line in text.split("\n") if line]
    now = [line for line in changed.split("\n") if line]
    assert sum(line not in kept for line in now) <= 1, "one line is new"
    assert len(now) - len(kept) in (0, 1)
    for host in ("a", "b", ":", "*"):
        for user in ("a", "b", "\\", "*"):
            other = (host, "a", "b", user)
            if (
                not all(mine in ("*", theirs) for mine, theirs in zip(key[:3], other[:3], strict=True))
                or user != key[3]
            ):
                assert libpq(changed, other) == libpq(text, other)


def test_an_entry_with_colons_and_backslashes_is_found_again():
    text = "# mine\ndb:5432:shop:app:old\r\n*:*:*:other:se\\:cret\n"
    changed = passfile.with_password(text, passfile.entry_of("db", "5432", "shop", "app"), "a:b\\c")
    assert changed == "# mine\ndb:5432:shop:app:a\\:b\\\\c\r\n*:*:*:other:se\\:cret\n"


def test_an_entry_that_libpq_never_reads_is_refused():
    with pytest.raises(ConfigurationError, match=r"line 1 .* wins over the entry in line 2"):
        passfile.with_password("*:*:*:app:x\ndb:*:*:app:y\n", passfile.entry_of("db", "*", "*", "app"), "new")


VALUES = st.text(st.sampled_from("ab=# $'\"\\"), max_size=8)


@given(
    before=st.lists(VALUES.map(lambda value: f"OTHER_{len(value)}={value}"), max_size=3, unique=True),
    mine=st.sampled_from([None, "APP=old", "export APP='old'", '  APP="old"  ', "APP=", "APP=old\r"]),
    after=st.lists(VALUES.map(lambda value: f"# APP={value}"), max_size=2),
    password=st.text(st.sampled_from("abcXYZ019-_"), min_size=1),
)
def test_one_variable_changes_and_its_quotes_stay(before, mine, after, password):
    text = "\n".join([*before, *([] if mine is None else [mine]), *after, ""])
    changed = environment_file.with_password(text, "APP", "{password}", password)
    assert environment_file.password_in(changed, "APP", "{password}") == password
    expected = f"APP={password}" if mine is None else mine.replace("old", password)
    if mine == "APP=":
        expected = f"APP={password}"
    lines = [*before, *([] if mine is None else [expected]), *after, *([expected] if mine is None else [])]
    assert [line for line in changed.split("\n") if line] == [line for line in lines if line]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("APP=x\nAPP=y\n", "stands in lines 1, 2"),
        ("APP='x\ny'\n", "goes over several lines"),
        ("APP=redis://elsewhere\n", "does not fit the template"),
    ],
)
def test_a_variable_that_is_not_clear_is_left_alone(text, reason):
    with pytest.raises(ConfigurationError, match=reason):
        environment_file.with_password(text, "APP", "postgresql://app:{password}@db/shop", "new")


def test_a_url_keeps_what_is_not_the_password():
    template = "postgresql://app:{password}@db/shop"
    text = 'export URL="postgresql://app:old@db/shop"\n'
    assert environment_file.password_in(text, "URL", template) == "old"
    assert environment_file.with_password(text, "URL", template, "new") == text.replace("old", "new")


def test_a_replaced_file_keeps_owner_group_and_link_and_loses_the_others(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"caf\xe9")
    target.chmod(0o646)
    link.symlink_to(target)
    if os.geteuid() == 0:
        os.chown(target, 12345, 23456)
    owner = (target.stat().st_uid, target.stat().st_gid)
    files.replace(link, files.read(link) + "!")
    assert (link.is_symlink(), target.read_bytes()) == (True, b"caf\xe9!")
    assert (target.stat().st_uid, target.stat().st_gid) == owner
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    files.replace(tmp_path / "new", "x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "new", "target"]


def test_what_a_killed_run_had_begun_to_write_is_removed_and_nothing_else(tmp_path):
    left, others = tmp_path / ".ke*pt.0a1b2c3d.unfinished", tmp_path / ".kept.0a1b2c3d.unfinished"
    also = tmp_path / ".ke*pt.second.0a1b2c3d.unfinished"
    for one in (left, others, also):
        one.write_text("planted-half")
    files.replace(tmp_path / "ke*pt", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"ke*pt", others.name, also.name}


def test_a_file_that_cannot_be_written_stays_as_it_was(tmp_path):
    import resource

    place = tmp_path / "kept"
    place.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(RefusedError, match=r"cannot write .*kept: File too large"):
            files.replace(place, "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert place.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
