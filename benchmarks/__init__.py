"""Ratios against the bare tools, in the same run: `make bench SIZE_MB=600 [ONLY=row]`."""
