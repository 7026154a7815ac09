"""Trying raftsup on a simulated Raft: the demo, and a throwaway host."""
