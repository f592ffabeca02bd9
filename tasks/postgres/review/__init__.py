"""Performance review: counters kept as snapshots, compared with former ones; nothing is changed on the server."""
