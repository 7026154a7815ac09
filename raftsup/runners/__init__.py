"""How a turn is run: one kind of agent a module or package, behind ``base.Runner``."""
