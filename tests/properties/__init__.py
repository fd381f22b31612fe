"""What holds for every operator, whatever it is called with."""
