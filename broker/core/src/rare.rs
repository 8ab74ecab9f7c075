//! What most clients never have: it takes a pointer for as long as nothing is in it.
//!
//! Read it like the thing itself; what is not there reads as empty. The first change puts it on
//! the heap, so code that would change nothing asks for [`Rare::existing_mut`] instead.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Deref, DerefMut};

/// Something with a value that says that nothing is there.
pub(crate) trait Empty: Default + 'static {
    /// That value; the same as the default.
    const EMPTY: &'static Self;
}

/// A thing that is rarely there.
#[derive(Debug)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T> Rare<T> {
    /// The thing, if it is there.
    pub(crate) fn existing_mut(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }

    /// Gives back its memory, and what is in it.
    pub(crate) fn forget(&mut self) {
        self.0 = None;
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

impl<T: Empty + PartialEq> From<T> for Rare<T> {
    fn from(value: T) -> Self {
        Self((value != *T::EMPTY).then(|| Box::new(value)))
    }
}

impl<K: 'static, V: 'static> Empty for BTreeMap<K, V> {
    const EMPTY: &'static Self = &BTreeMap::new();
}

impl<T: 'static> Empty for Vec<T> {
    const EMPTY: &'static Self = &Vec::new();
}

impl<T: 'static> Empty for VecDeque<T> {
    const EMPTY: &'static Self = &VecDeque::new();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_an_empty_value_put_nothing_on_the_heap() {
        let mut rare = Rare::from(Vec::<u8>::new());
        assert!(rare.is_empty() && rare.existing_mut().is_none());
        rare.push(1);
        assert_eq!((rare.len(), rare.existing_mut()), (1, Some(&mut vec![1])));
        rare.forget();
        assert!(rare.is_empty() && rare.existing_mut().is_none());
    }

    #[test]
    fn it_takes_a_pointer() {
        assert_eq!(size_of::<Rare<VecDeque<u64>>>(), size_of::<usize>());
    }
}
