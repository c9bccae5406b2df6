"""Laws that plug-ins keep, for `labelgrid check-plugin` and for tests of plug-in authors.

Each sort of plug-in has a module here of its name. Nothing else in the package imports these.
"""
