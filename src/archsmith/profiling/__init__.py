"""What can be learned about a space before a search is run.

Import from :mod:`archsmith.profiling.run`; the package itself imports nothing, to keep the command
line fast.
"""
