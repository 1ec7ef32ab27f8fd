"""What make calls: set-up, assets, checks, engines. Run from the root: python3 -m scripts.setup"""
