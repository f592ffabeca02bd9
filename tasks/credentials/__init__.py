"""Credentials: how old they are, where they are kept, commands that rotate them, proofs that they work."""
