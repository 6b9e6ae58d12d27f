"""Errors, configurations, paths and run folders; imports nothing of ours."""
