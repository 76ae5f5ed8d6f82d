"""A model slot: versions, the switch, the return to the last good one."""
