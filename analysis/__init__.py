"""Stored records to tables and figures: load, select, aggregate, render. Reads results only: no model, no torch."""
