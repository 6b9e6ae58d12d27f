"""Measures of any stop on the way, as pure functions and reports."""
