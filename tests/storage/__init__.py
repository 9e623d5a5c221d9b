"""Tests of the log and its copies."""
