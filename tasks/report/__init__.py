"""What a person reads: CSV, HTML, artifacts, and the verdict of a run."""
