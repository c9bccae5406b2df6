"""Objects in stores such as S3: addresses, and a bounded cache on the local disk.

Loads no torch; a store's client is loaded when the first object is asked for.
"""
