"""Telling people: the heartbeat of a run that ended well, one message for one that did not."""
