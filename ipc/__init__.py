"""What both sides of the boundary share, and only that. Imports neither `renderer` nor `gpu_process`."""
