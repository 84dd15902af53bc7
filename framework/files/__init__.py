"""Reading files that may be foreign or damaged: each failure is one sentence that names the file."""
