"""How bytes reach a page. No models, no Django models, no engine: Redis keys and bounded queues.

``bell`` says that something changed, ``ring`` holds a bounded numbered buffer, ``hub`` fans out inside one
web process, ``want`` says who watches what. Redis may be emptied at any time; every reader recovers.
"""
