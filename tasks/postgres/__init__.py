"""PostgreSQL: connections, client programs, lock, fingerprint, backup, restore."""
