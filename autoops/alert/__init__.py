"""Alerts: from what was found to who was told. alert/run.py has the way of it."""
