//! The workspace that the demo works on: a till that loses cents, because three files cut fractions off.

/// One file of the sample.
pub struct SampleFile {
    /// Its place below the root.
    pub path: &'static str,
    /// What it says before.
    pub before: &'static str,
    /// What it says once the defect is gone and the user's line is typed.
    pub after: &'static str,
}

macro_rules! same {
    ($path:literal) => {
        SampleFile {
            path: $path,
            before: include_str!(concat!("sample/", $path)),
            after: include_str!(concat!("sample/", $path)),
        }
    };
}

macro_rules! fixed {
    ($path:literal) => {
        SampleFile {
            path: $path,
            before: include_str!(concat!("sample/", $path)),
            after: include_str!(concat!("expected/", $path)),
        }
    };
}

/// All files.
pub const FILES: &[SampleFile] = &[
    same!("README.md"),
    fixed!("shop/cart.py"),
    fixed!("shop/money.py"),
    same!("shop/receipt.py"),
    fixed!("shop/tax.py"),
    same!("tests/test_receipt.py"),
];

/// The file with the failing check, and the line of it, from 0.
pub const COMPLAINT: (&str, u32) = ("tests/test_receipt.py", 10);
/// What the check says.
pub const MESSAGE: &str = "the receipt comes to 56.73, but 56.80 is right";
/// The file that the user types into while the agent works.
pub const TYPED_IN: &str = "shop/cart.py";
/// The line behind which the user types.
pub const TYPED_AFTER: &str = "        self.lines = []";
/// What the user types: a line end with the editor's indentation, then this.
pub const TYPED: &str = "self.currency = \"EUR\"";

/// The sample's file at `path`.
pub fn file(path: &str) -> Option<&'static SampleFile> {
    FILES.iter().find(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_places_that_the_demo_names_are_in_the_sample() {
        let complaint = file(COMPLAINT.0).unwrap().before.lines().nth(COMPLAINT.1 as usize).unwrap();
        assert!(complaint.trim_start().starts_with("assert "), "{complaint}");
        let typed_in = file(TYPED_IN).unwrap();
        assert_eq!(typed_in.before.matches(TYPED_AFTER).count(), 1);
        assert!(typed_in.after.contains(&format!("{TYPED_AFTER}\n        {TYPED}\n")));
    }
}
