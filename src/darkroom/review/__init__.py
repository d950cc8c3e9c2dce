"""WHAT CAME OUT: records in, manifest and pages out. Never imports torch."""
