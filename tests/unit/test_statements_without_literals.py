"""Statements are shown without the data in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.postgres.inspect.statements import without_literals


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("SELECT * FROM t1 WHERE a = 'x' AND b = 12.5", "SELECT * FROM t1 WHERE a = ? AND b = ?"),
        ("ALTER ROLE r PASSWORD 'it''s'", "ALTER ROLE r PASSWORD ?"),
        (r"SELECT E'a\'b', 1", "SELECT ?, ?"),
        ("SELECT $$body 'x'$$, $tag$ $$ $tag$", "SELECT ?, ?"),
        ("SELECT $1, \"Col 1\" -- note 'x'\nFROM t", 'SELECT $1, "Col 1" FROM t'),
        ("SELECT 'cut off", "SELECT ?"),
        ("SELECT /* jira 77 */ x", "SELECT x"),
    ],
)
def test_literals_and_comments_are_gone_and_names_stay(statement, shown):
    assert without_literals(statement) == shown


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
def test_no_quoted_text_gets_through(secret):
    quoted = secret.replace("'", "''")
    assert without_literals(f"SELECT f('{quoted}', x)") == "SELECT f(?, x)"
