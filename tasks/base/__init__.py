"""The ground floor: configuration, the words that cross rooms, programs, clock, errors."""
