"""Reading and grouping log files; this room knows nothing of where they come from."""
