"""Joint continuous and categorical diffusion: processes corrupt, denoisers answer with clean data, samplers walk time back."""
