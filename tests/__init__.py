"""Tests that belong to no app: habits, journeys through the whole, the browser."""
