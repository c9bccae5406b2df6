"""A project on disk: create, extend, requests, import, export, cancel, status, files of a round."""
