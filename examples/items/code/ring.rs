//! A ring buffer of fixed capacity: the newest items replace the oldest.

/// Keeps the last `N` items that were pushed.
#[derive(Debug, Clone)]
pub struct Ring<T, const N: usize> {
    items: [Option<T>; N],
    /// Where the next item goes; always below `N`.
    next: usize,
}

impl<T, const N: usize> Ring<T, N> {
    /// An empty ring.
    pub fn new() -> Self {
        const { assert!(N > 0, "a ring needs room for at least one item") };
        Ring { items: std::array::from_fn(|_| None), next: 0 }
    }

    /// Adds an item and returns the one that it replaced, if the ring was full.
    pub fn push(&mut self, item: T) -> Option<T> {
        let replaced = self.items[self.next].replace(item);
        self.next = (self.next + 1) % N;
        replaced
    }

    /// The items, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        let (newer, older) = self.items.split_at(self.next);
        older.iter().chain(newer).flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::Ring;

    #[test]
    fn the_oldest_item_is_replaced_first() {
        let mut ring = Ring::<u8, 3>::new();
        assert_eq!([1, 2, 3, 4].map(|n| ring.push(n)), [None, None, None, Some(1)]);
        assert_eq!(ring.iter().copied().collect::<Vec<_>>(), [2, 3, 4]);
    }
}
