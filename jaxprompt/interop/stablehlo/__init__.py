"""The whole prompted model, for any program: StableHLO and a README."""
