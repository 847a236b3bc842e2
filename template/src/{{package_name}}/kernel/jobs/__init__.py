"""Jobs as people see them: the dead letter, and what was begun by a request and takes its time."""
