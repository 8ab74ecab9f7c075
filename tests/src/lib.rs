//! Simulator, conformance, durability and load tests of Weir.

pub mod sim {
    //! The parts of a simulated machine.

    pub mod disk;
}
