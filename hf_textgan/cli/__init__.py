"""The command `textgan`."""
