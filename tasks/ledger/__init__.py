"""Findings and their deadlines: what every scan saw, folded into what is open, due, overdue and fixed."""
