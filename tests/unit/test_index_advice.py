"""An index is advised only where a statement reads a large table whole for few rows, and no index could serve it."""

import pytest

from tasks.postgres.review.advice import Column, LargeTable, wanted

PAGES, ROWS = 1000, 100_000


def table(name="orders", **columns):
    found = {"customer": Column(distinct=5000, indexed=False), "state": Column(distinct=3, indexed=False)}
    return LargeTable(
        oid=len(name), schema_name="public", name=name, rows=ROWS, pages=PAGES, sequential_scans=9, sequential_rows=9,
        columns=found | columns,
    )  # fmt: skip


def advised(text, *tables, blocks=PAGES, rows=3.0):
    counts = {"calls": 10.0, "blocks_hit": blocks * 10.0, "blocks_read": 0.0, "rows": rows * 10}
    return [(one.name, columns) for one, columns in wanted(text, counts, tables or (table(),), 0.02)]


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("SELECT note FROM orders WHERE customer = $1 AND note <> $2", ("customer",)),
        ("SELECT o.note FROM public.orders o WHERE o.customer = $1", ("customer",)),
        ('UPDATE "orders" SET note = $1 WHERE customer = $2', ("customer",)),
        ("DELETE FROM ONLY orders WHERE customer IN ($1, $2)", ("customer",)),
        ("SELECT count(*) FROM orders WHERE customer = ANY($1)", ("customer",)),
        ("SELECT * FROM orders WHERE state = $1 AND customer = $2", ("state", "customer")),
        ("SELECT * FROM orders WHERE customer = $1 AND made_at > $2", ("customer", "made_at")),
    ],
)
def test_the_columns_that_a_statement_compares_are_advised(text, columns):
    assert advised(text, table(made_at=Column(distinct=None, indexed=False))) == [("orders", columns)]


@pytest.mark.parametrize(
    ("text", "figures"),
    [
        ("SELECT * FROM orders WHERE customer = $1", {"blocks": 40}),
        ("SELECT * FROM orders WHERE state = $1", {}),
        ("SELECT * FROM orders", {}),
        ("SELECT * FROM orders o JOIN orders_old p ON o.id = p.id", {}),
        ("SELECT * FROM other WHERE customer = $1", {}),
        ("SELECT * FROM orders WHERE customer <> $1", {}),
    ],
)
def test_a_statement_that_an_index_would_not_help_gives_no_advice(text, figures):
    assert advised(text, **figures) == []


def test_an_index_that_is_there_gives_no_advice():
    assert (
        advised("SELECT * FROM orders WHERE customer = $1", table(customer=Column(distinct=9999, indexed=True))) == []
    )


def test_without_statistics_the_rows_of_a_call_decide_where_they_say_something():
    unknown = table(customer=Column(distinct=None, indexed=False))
    text = "SELECT * FROM orders WHERE customer = $1"
    assert advised(text, unknown, rows=5) == [("orders", ("customer",))]
    assert advised(text, unknown, rows=ROWS / 2) == []
    assert advised("SELECT sum(id) FROM orders WHERE customer = $1", unknown, rows=1) == []
    assert advised(f"{text} LIMIT $2", unknown, rows=1) == []


def test_a_column_that_two_tables_have_is_not_guessed():
    text = "SELECT * FROM orders o JOIN people p ON p.id = o.person WHERE customer = $1"
    assert advised(text, table(), table("people")) == []
