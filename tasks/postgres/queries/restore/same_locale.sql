-- Whether a database with this encoding and locale can be made here, as far as the catalog says: there is one.
SELECT EXISTS (
  SELECT FROM pg_catalog.pg_database d
  WHERE pg_catalog.pg_encoding_to_char(d.encoding) = %(encoding)s
    AND d.datlocprovider::text = %(provider)s AND d.datcollate = %(collate)s AND d.datctype = %(ctype)s
    AND coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale', '') = %(locale)s
)
