"""The GPU process: re-validates, compiles and executes what renderers send, in a sandbox."""
