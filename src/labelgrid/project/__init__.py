"""A project on disk: create, extend, requests, import, export, cancel, status, artifacts of a round."""
