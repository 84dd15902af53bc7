"""What every ingest builds on: folder, shards, tables, and where tasks run. It knows no plate and no cell."""
