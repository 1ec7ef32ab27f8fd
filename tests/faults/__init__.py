"""Faults: what is killed, stopped, lost and emptied under Slipway, and what must hold afterwards."""
