"""Say what a file is: its type from its first bytes (`sniff`), and what is in it (`extract`), one module per kind of file.

Everything here looks at content that anybody may have written. It runs in short-lived child processes that are killed when
they hang; nothing here opens a file.
"""
