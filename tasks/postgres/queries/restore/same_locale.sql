-- Whether a database with this locale can be made here, as far as the catalogs say: there is one, or a collation of it.
SELECT EXISTS (SELECT FROM pg_catalog.pg_database d
               WHERE d.datlocprovider::text = %(provider)s AND d.datcollate = %(collate)s AND d.datctype = %(ctype)s
                 AND coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale', '') = %(locale)s)
