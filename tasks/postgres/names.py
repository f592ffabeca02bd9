"""Names as they are typed into psql: in what a person is to paste, quoted exactly where the server's quote_ident does.

Where a statement is executed, psycopg.sql quotes; where the server builds the command, its own quote_ident does.
"""

import re

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Every key word that is not free (pg_get_keywords) of PostgreSQL 15 to 18: some of them may name a table all the same.
_WORDS = """
all analyse analyze and any array as asc asymmetric authorization between bigint binary bit boolean both case cast
char character check coalesce collate collation column concurrently constraint create cross current_catalog
current_date current_role current_schema current_time current_timestamp current_user dec decimal default
deferrable desc distinct do else end except exists extract false fetch float for foreign freeze from full grant
greatest group grouping having ilike in initially inner inout int integer intersect interval into is isnull join
json json_array json_arrayagg json_exists json_object json_objectagg json_query json_scalar json_serialize
json_table json_value lateral leading least left like limit localtime localtimestamp merge_action national natural
nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps overlay placing
position precision primary real references returning right row select session_user setof similar smallint some
substring symmetric system_user table tablesample then time timestamp to trailing treat trim true union unique
user using values varchar variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists
xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable
"""
_KEYWORDS = frozenset(_WORDS.split())


def quoted(name: str) -> str:
    """A schema, table, column or role in a command."""
    plain = _PLAIN.fullmatch(name) and name not in _KEYWORDS
    return name if plain else '"' + name.replace('"', '""') + '"'


def label(schema: str, name: str) -> str:
    """SCHEMA.NAME in a command."""
    return f"{quoted(schema)}.{quoted(name)}"
