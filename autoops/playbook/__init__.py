"""Playbooks: a remedy is carried out for a trouble, within bounds, and a person is called when it does not help."""
