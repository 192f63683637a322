"""The Omnitron side: who we are there, what its services mean, and what is asked for only once."""
