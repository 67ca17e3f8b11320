"""SoftLayer on this computer: its XML-RPC protocol, its delays and its failures, with machines behind it.

`server.Emulator` is the account (`books`), its API, and the settings file with which a client finds it.
"""
