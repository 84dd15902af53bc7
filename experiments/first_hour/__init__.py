"""The first hour of three newcomers, with a stopwatch."""
