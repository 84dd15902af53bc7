"""Readers of raw exports: of plates, of single cells, and of tables that belong to cells."""
