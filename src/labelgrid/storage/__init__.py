"""Objects in stores such as S3: their addresses, and a bounded cache of them on this disk.

Loads no torch; a store's client is loaded when the first object is asked for.
"""
