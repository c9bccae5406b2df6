"""The kinds of tasks, one file each: plain data (`SPEC`) and functions on tensors (`build`)."""
