"""The engine room: everything Slipway knows about container engines.

Pure Python. It imports no Django, Channels, Celery or Redis, and it is the only
room that imports the Docker SDK. The way in is :func:`engine.connect.connect`.
"""
