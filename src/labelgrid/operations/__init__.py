"""Operations on a project: create, extend, remove, undo, cancel, export, change, verify."""
