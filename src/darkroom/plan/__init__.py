"""WHAT to render: conf/ in, requests out. Never imports torch."""
