//! A message of a simulated device.

/// What a device publishes, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Topic name.
    pub topic: String,
    /// A JSON object.
    pub payload: String,
    /// When it is published, in milliseconds since the Unix epoch. A device with a clock says in
    /// `ts` when it happened, which may be earlier.
    pub at_ms: u64,
}
