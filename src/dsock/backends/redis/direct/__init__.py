"""`messaging_method=direct`: an API brings commands to workers by HTTP.

Redis still says who must be told, and still carries what everybody must be told while its
routes cannot be trusted.
"""
