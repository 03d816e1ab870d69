"""What can be known of a space before a search is paid for.

Import from :mod:`archsmith.profiling.run`; the package itself loads nothing, for the command line.
"""
