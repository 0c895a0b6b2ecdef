"""Snapshots: everything a run needs to go on from the end of a tick, in one verified file."""
