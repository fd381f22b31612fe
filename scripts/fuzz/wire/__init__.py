"""What no correct renderer sends: messages, bytes and descriptors."""
