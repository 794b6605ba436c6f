//! The files of a folder as one string: some sixty bytes a file instead of an allocation each.

use std::ops::Range;

/// Paths below a root, parts separated by `/`, in byte order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    text: String,
    ends: Vec<u32>,
    /// Whether there are more than the list holds.
    pub more: bool,
}

impl List {
    /// A list without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a path made of two parts at the end; `false` if the list is full.
    pub fn push(&mut self, folder: &str, name: &str) -> bool {
        let slash = usize::from(!folder.is_empty());
        let Ok(end) = u32::try_from(self.text.len() + folder.len() + slash + name.len()) else {
            self.more = true;
            return false;
        };
        self.text.push_str(folder);
        if slash == 1 {
            self.text.push('/');
        }
        self.text.push_str(name);
        self.ends.push(end);
        true
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The path at a place.
    pub fn get(&self, at: usize) -> &str {
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        &self.text[start..self.ends[at] as usize]
    }

    /// All paths, in order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|at| self.get(at))
    }

    /// The places of the files below a folder.
    pub fn below(&self, folder: &str) -> Range<usize> {
        if folder.is_empty() {
            return 0..self.len();
        }
        // `0` follows `/`.
        let first = format!("{folder}/");
        let past = format!("{folder}0");
        self.partition(|path| path < first.as_str())..self.partition(|path| path < past.as_str())
    }

    fn partition(&self, before: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            if before(self.get(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }

    /// Gives back what it has room for and does not hold.
    pub(super) fn trim(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_below_a_folder_are_those_and_no_neighbours() {
        let mut list = List::new();
        for path in ["a", "a-b/x", "a.rs", "a/b/c", "a/x", "a0", "b/a/x"] {
            list.push("", path);
        }
        assert_eq!(list.below(""), 0..7);
        assert_eq!(list.below("a"), 3..5);
        assert_eq!(list.below("a/b"), 3..4);
        assert_eq!(list.below("b"), 6..7);
        assert!(list.below("c").is_empty() && list.below("a/x").is_empty());
        assert_eq!(list.iter().collect::<Vec<_>>().len(), list.len());
    }
}
