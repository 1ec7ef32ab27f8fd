"""A real Chromium on the real thing."""
