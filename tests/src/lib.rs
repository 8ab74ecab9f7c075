//! Simulator, conformance, durability and load tests of Weir.
