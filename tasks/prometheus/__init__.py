"""Questions to Prometheus, and what its figures say about a period."""
