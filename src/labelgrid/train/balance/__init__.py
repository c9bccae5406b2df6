"""One file a balancer of task losses."""
