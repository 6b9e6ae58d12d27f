"""Costs of classifier guidance on trajectory tokens."""
