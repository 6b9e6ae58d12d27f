"""Agents: from a state and a command to servo targets."""
