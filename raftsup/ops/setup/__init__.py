"""``raftsup setup``: the first config, by questions, by flags, or from an OpenClaw's."""
