"""Vacuum, analyze and rebuild: the plan, and carrying it out inside a window."""
