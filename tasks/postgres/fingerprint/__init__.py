"""What a database held inside one snapshot, in a form that a restored copy can be compared with."""
