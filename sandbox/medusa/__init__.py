"""A real Medusa server as a sales channel: installed, seeded and started in one folder."""
