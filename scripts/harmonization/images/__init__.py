"""One scan as coefficients on a grid: images, grids, spherical harmonics, registration."""
