"""How one step is done: one room per outside thing that is touched."""
