"""One changed thing in a copy is found, and its place is named; what is equal gives no alarm."""

import psycopg
import pytest

from tasks.base.system import Database, FingerprintPolicy
from tasks.postgres.fingerprint.collect import collect
from tasks.postgres.fingerprint.compare import compare


def fingerprint(dsn):
    return collect(Database(name="shop", dsn=dsn), None, FingerprintPolicy(), "test")


CHANGES = {
    "table public.kinds": [
        "UPDATE kinds SET feeling = 'sad' WHERE id = 7",
        "UPDATE kinds SET price = 1.5 WHERE id = 7",
        "UPDATE kinds SET tag = upper(tag::text) WHERE id = 7",
        "UPDATE kinds SET doc = '{\"n\": 1}' WHERE id = 7",
        "UPDATE kinds SET raw = '\\x00fe' WHERE id = 7",
        "DELETE FROM kinds WHERE id = 7",
    ],
    "sequence public.orders": ["SELECT setval('orders', 100)"],
    "role shop_reader": ["ALTER ROLE shop_reader NOLOGIN"],
    "membership shop_reader in shop_owner": ["REVOKE shop_owner FROM shop_reader"],
    "setting statement_timeout for the database": ["ALTER DATABASE shop RESET statement_timeout"],
    "large objects": ["SELECT lo_put(oid, 3, '\\x00') FROM pg_largeobject_metadata"],
    "view public.cheap": ["CREATE OR REPLACE VIEW cheap AS SELECT id, price FROM kinds WHERE price < 3"],
    "policy own on public.secured": ["ALTER POLICY own ON secured USING (true)"],
    "grant public.kinds to shop_reader": ["REVOKE SELECT ON kinds FROM shop_reader"],
    "owner public.nokey": ["ALTER TABLE nokey OWNER TO postgres"],
}


@pytest.mark.parametrize(("place", "change"), [(place, one) for place, all in CHANGES.items() for one in all])
def test_one_change_is_found_and_named(shop, place, change):
    before = fingerprint(shop)
    with psycopg.connect(shop) as connection:
        connection.execute(change)
    assert place in [finding.target for finding in compare(before, fingerprint(shop))]


def test_row_order_is_no_difference(shop):
    before = fingerprint(shop)
    with psycopg.connect(shop) as connection:
        connection.execute("UPDATE kinds SET price = price WHERE id % 2 = 0")
    assert compare(before, fingerprint(shop)) == []
