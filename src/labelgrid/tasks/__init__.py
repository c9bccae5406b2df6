"""One file a kind of task: its plain data (SPEC) and its functions (build)."""
