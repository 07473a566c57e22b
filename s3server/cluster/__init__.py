"""The cluster map: stored with epochs, seeded by the settings, changed by operators; its OSDs."""
