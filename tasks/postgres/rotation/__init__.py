"""Rotating the password of a role: checked before, set as a verifier, proven by a login, taken back or finished."""
