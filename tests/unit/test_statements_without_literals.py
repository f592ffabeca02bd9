"""Statements are shown without the data in them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.base.statements import hidden, without_literals


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
        ("SELECT /* a /* b */ hunter */ x", "SELECT x"),
        ("SELECT 0xDEADBEEF, 1_000, .5, 1e-5, t1.c2", "SELECT ?, ?, ?, ?, t1.c2"),
        ("SELECT a$b$ , $b$ hunter $b$", "SELECT a$b$ , ?"),
        ("SELECT $x$cut off 'hunter", "SELECT ?"),
        (r"SELECT 'a\' OR hunter = '' LIMIT 5", "SELECT ?"),
        (r"""SELECT U&'d\0061t' UESCAPE '!', U&"name" """, 'SELECT ? UESCAPE ?, U&"name"'),
        ("SELECT 1 -- it's\rFROM t WHERE a = 'x\ny hunter'", "SELECT ? FROM t WHERE a = ?"),
        ("ALTER ROLE r SET app.token TO hunter", "ALTER ROLE r SET app.token TO ?"),
        ("set local app.token=hunter", "set local app.token= ?"),
        ("UPDATE t SET a = b WHERE c = 'x'", "UPDATE t SET a = b WHERE c = ?"),
        ("SET ROLE reader", "SET ROLE reader"),
        ('SELECT "cut off', 'SELECT "?'),
        ("SELECT E'cut\\", "SELECT ?"),
        ("INSERT INTO t VALUES (1, 'a'), (2, $$b$$)", "INSERT INTO t VALUES (?, ?), (?, ?)"),
    ],
)
def test_literals_and_comments_are_gone_and_names_stay(statement, shown):
    assert without_literals(statement) == shown


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1))
def test_no_quoted_text_gets_through(secret):
    quoted = secret.replace("'", "''")
    # Behind a backslash and a quote nobody knows whether the literal goes on: nothing more is shown.
    shown = "SELECT f(?" if "\\'" in f"{quoted}'" else "SELECT f(?, x)"
    assert without_literals(f"SELECT f('{quoted}', x)") == shown


# Each way to write a literal, for a secret in which the quotes are doubled as it wants.
WAYS = {
    "plain": lambda secret: "'" + secret.replace("'", "''") + "'",
    "escaped": lambda secret: "E'" + secret.replace("\\", "\\\\").replace("'", "\\'") + "'",
    "national": lambda secret: "n'" + secret.replace("'", "''") + "'",
    "unicode": lambda secret: "U&'" + secret.replace("'", "''") + "'",
    "dollar": lambda secret: f"$z_1${secret}$z_1$",
    "comment": lambda secret: "/* " + secret.replace("*/", "").replace("/*", "") + " */ 1",
    "line": lambda secret: "-- " + secret.replace("\n", "").replace("\r", "") + "\n 1",
}
NOISE = st.text(st.sampled_from("ab1 '\\\"$-*/;\n\r,éE"), max_size=12)


@given(st.lists(st.tuples(st.sampled_from(sorted(WAYS)), NOISE, NOISE), min_size=1, max_size=5), st.integers(1, 200))
def test_a_planted_secret_survives_in_no_way_to_write_a_literal_and_in_no_cut(parts, end):
    literals = [WAYS[way](f"{before}PLANTED{after}") for way, before, after in parts]
    statement = f"SELECT {', '.join(literals)}, tail FROM t"
    assert "PLANTED" not in without_literals(statement)
    assert "PLANTED" not in without_literals(statement[:end])
    assert "PLANTED" not in hidden(statement, numbers=False)


@given(st.text())
def test_any_text_at_all_is_taken(text):
    assert len(without_literals(text)) <= 501
