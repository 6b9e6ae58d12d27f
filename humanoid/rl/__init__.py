"""Training and running policies; the only place that knows rsl_rl."""
