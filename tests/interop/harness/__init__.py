"""What the interop tests share: a running server, its doors as clients see them, made objects, oracles."""
