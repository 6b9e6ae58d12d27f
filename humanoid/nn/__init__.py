"""Neural parts and the policy checkpoint; no bodies, no simulator."""
