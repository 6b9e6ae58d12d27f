"""Teleoperation in the browser: the page and its control loop."""
