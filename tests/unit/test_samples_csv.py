"""A CSV of history: the good rows are taken as they are, every broken one is named with its line."""

from datetime import UTC, datetime, timedelta

import pytest

from tasks.base.clock import utc_now
from tasks.base.errors import ConfigurationError
from tasks.base.samples import Dated, Sample
from tasks.base.words import Verdict
from tasks.repository import samples
from tasks.repository.local import LocalStore
from tasks.repository.samples_csv import read_csv
from tasks.repository.samples_import import checks_of

HEADER = "at,kind,resource,unit,used,capacity"


@pytest.fixture
def read(tmp_path):
    def run(text):
        path = tmp_path / "history.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_csv(path)

    return run


def test_dates_and_times_with_and_without_a_zone_are_taken(read):
    good, broken = read(
        f"{HEADER}\n2026-01-01,database,shop,bytes,734003200,\n"
        "2026-01-02T02:00:00+02:00,filesystem,db1:/var,bytes,5e10,107374182400\n\n"
        '2026-01-03T02:00:00Z,metric,"a, b",count,-1.5,\n'
    )
    assert broken == []
    assert [(one.at, one.sample.resource, one.sample.used, one.sample.capacity) for one in good] == [
        (datetime(2026, 1, 1, tzinfo=UTC), "shop", 734003200, None),
        (datetime(2026, 1, 2, tzinfo=UTC), "db1:/var", 5e10, 107374182400),
        (datetime(2026, 1, 3, 2, tzinfo=UTC), "a, b", -1.5, None),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + f"{HEADER}\r\n2026-01-01,database,shop,bytes,1,\r\n",
        "at;kind;resource;unit;used;capacity\n2026-01-01;database;shop;bytes;1;\n",
        "used,note,unit,resource,kind,at\n1,hello,bytes,shop,database,2026-01-01\n",
    ],
)
def test_what_spreadsheets_write_is_read_too(read, text):
    (one,), broken = read(text)
    assert (broken, one.sample) == ([], Sample(kind="database", resource="shop", unit="bytes", used=1))


def test_every_broken_row_is_named_and_the_others_are_taken(read):
    tomorrow = utc_now() + timedelta(days=3)
    rows = [
        "2026-01-01,database,shop,bytes,1,",
        "01.02.2026,database,shop,bytes,1,",
        "2026-01-03,database,shop,bytes,many,",
        "2026-01-04,database,,bytes,1,",
        "2026-01-05,database,shop,bytes,nan,",
        "2026-01-06,database,shop,bytes,1,2,3",
        "2026-01-07,database,shop",
        f"{tomorrow:%Y-%m-%d},database,shop,bytes,1,",
        "2026-01-09,database,shop,bytes,1,full",
        "2026-01-10,database,shop,bytes,10,",
    ]
    good, broken = read("\n".join([HEADER, *rows]))
    assert [one.sample.used for one in good] == [1, 10]
    assert [row.line for row in broken] == list(range(3, 11))
    reasons = " | ".join(row.reason for row in broken)
    for part in ("at is '01.02.2026'", "used is 'many'", "resource is empty", "finite", "more fields"):
        assert part in reasons
    for part in ("unit, used is empty", "not come yet", "capacity is 'full'"):
        assert part in reasons
    taken, warned = checks_of("history.csv", good, broken, 1)
    assert taken.message == (
        "2 samples of 1 resources, 2026-01-01 to 2026-01-10, 1 of them in place of samples of the same days"
    )
    assert (warned.verdict, warned.message[:22]) == (Verdict.WARN, "8 rows are broken and ")
    assert "line 3: at is '01.02.2026'" in warned.message
    assert "3 more in report.csv" in warned.message
    assert checks_of("history.csv", [], broken, 0)[0].verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date,size\n2026-01-01,5\n", "has no column at, kind, resource, unit, used; its first line must be"),
        ("", "has no column"),
        ("größe".encode("latin-1"), "is no UTF-8"),
    ],
)
def test_a_file_that_is_another_thing_is_refused_whole(read, text, message):
    with pytest.raises(ConfigurationError, match=message):
        read(text)


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(ConfigurationError, match=r"nowhere\.csv cannot be read: No such file"):
        read_csv(tmp_path / "nowhere.csv")


def test_what_an_import_takes_the_place_of_is_counted_and_the_last_of_a_day_counts(tmp_path):
    store, noon = LocalStore(str(tmp_path)), datetime(2026, 1, 2, 12, tzinfo=UTC)

    def dated(hours, used, resource="shop"):
        sample = Sample(kind="database", resource=resource, unit="bytes", used=used)
        return Dated(at=noon + timedelta(hours=hours), sample=sample)

    samples.append(store, "acme", samples.table_of_dated([dated(0, 1)]), "00000001")
    rows = samples.table_of_dated([dated(5, 3), dated(1, 2), dated(24, 4), dated(0, 5, "users")])
    assert samples.replaced(store, "acme", rows) == 2
    assert samples.replaced(store, "acme", samples.table_of_dated([])) == 0
    samples.append(store, "acme", rows, "00000002")
    assert [row["used"] for row in samples.read(store, "acme").to_pylist()] == [3, 4, 5]
