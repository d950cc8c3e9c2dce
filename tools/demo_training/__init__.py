"""How the demo's weights were trained: pictures that code draws, a VAE, a flow transformer, two adapters, figures."""
