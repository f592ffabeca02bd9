"""The review of accounts: one list for a person, what changed since the last signed one, and the sign-off."""
