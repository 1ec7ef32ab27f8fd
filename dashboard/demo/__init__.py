"""What `manage.py demo` fills an engine with: small real images and containers, made without any network."""
