//! Number of different values: exact for few, an estimate (HyperLogLog, about 3 %) for many.

use crate::limits::EXACT_DISTINCT_MAX;

/// A set of hashes, or what is left of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Distinct {
    /// Sorted.
    Exact(Vec<u64>),
    /// The largest number of leading zeros, plus one, that each register has seen.
    Sketch(Box<[u8]>),
}

impl Default for Distinct {
    fn default() -> Self {
        Distinct::Exact(Vec::new())
    }
}

impl Distinct {
    /// Registers of the estimate.
    pub(crate) const REGISTERS: usize = 1 << REGISTER_BITS;

    pub(crate) fn insert(&mut self, hash: u64) {
        match self {
            Distinct::Exact(hashes) => {
                if let Err(at) = hashes.binary_search(&hash) {
                    hashes.insert(at, hash);
                }
                if hashes.len() > EXACT_DISTINCT_MAX {
                    self.forget();
                }
            }
            Distinct::Sketch(registers) => {
                let (register, rank) = place(hash);
                registers[register] = registers[register].max(rank);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Distinct) {
        match other {
            Distinct::Exact(hashes) => hashes.iter().for_each(|hash| self.insert(*hash)),
            Distinct::Sketch(theirs) => {
                self.forget();
                if let Distinct::Sketch(ours) = self {
                    for (our, their) in ours.iter_mut().zip(theirs) {
                        *our = (*our).max(*their);
                    }
                }
            }
        }
    }

    /// The number of different values, whole.
    pub(crate) fn estimate(&self) -> f64 {
        let registers = match self {
            Distinct::Exact(hashes) => return hashes.len() as f64,
            Distinct::Sketch(registers) => registers,
        };
        let m = Self::REGISTERS as f64;
        let sum: f64 = registers.iter().map(|rank| 2f64.powi(-i32::from(*rank))).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = registers.iter().filter(|rank| **rank == 0).count();
        // For few values, counting the empty registers is nearer.
        let estimate = if raw <= 2.5 * m && empty > 0 { m * (m / empty as f64).ln() } else { raw };
        estimate.round()
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Distinct::Exact(hashes) => hashes.len() * size_of::<u64>(),
            Distinct::Sketch(registers) => registers.len(),
        }
    }

    /// Turns the exact set into an estimate.
    fn forget(&mut self) {
        if let Distinct::Exact(hashes) = self {
            let mut registers = vec![0u8; Self::REGISTERS].into_boxed_slice();
            for hash in hashes.iter() {
                let (register, rank) = place(*hash);
                registers[register] = registers[register].max(rank);
            }
            *self = Distinct::Sketch(registers);
        }
    }
}

/// The register of a hash, and the position of the first one bit in the rest.
fn place(hash: u64) -> (usize, u8) {
    let register = (hash >> (64 - REGISTER_BITS)) as usize;
    let rest = (hash << REGISTER_BITS) | (1 << (REGISTER_BITS - 1));
    (register, rest.leading_zeros() as u8 + 1)
}

const REGISTER_BITS: u32 = 10;
